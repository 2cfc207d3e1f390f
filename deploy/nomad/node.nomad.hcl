# Mounts PVs on each client, by asking the mount host of the client: `kadalu mountd` as a service of systemd
# (deploy/systemd/kadalu-mountd.service). So it may be stopped, killed and upgraded at any time, and no job notices. It has been
# written by Nomad's documentation of csi_plugin, and has not been run there: say what you find.
#
#   nomad job run -var image=registry.example.com/kadalu:0.1.0-bookworm deploy/nomad/node.nomad.hcl
#
# A client needs, in the configuration of its Docker driver: allow_privileged = true, and volumes { enabled = true }. Drain it
# with -ignore-system, so that the plugin is there until the last volume is unmounted.

variable "image" {
  type        = string
  description = "Of deploy/Containerfile"
}

variable "data_dir" {
  type        = string
  default     = "/opt/nomad/data"
  description = "As in the configuration of the clients"
}

job "kadalu-node" {
  type = "system"

  group "node" {
    task "kadalu" {
      driver = "docker"

      config {
        image      = var.image
        entrypoint = ["kadalu", "csi"]
        args = [
          "--mode=node",
          "--endpoint=unix:///csi/csi.sock",
          "--node-id=${node.unique.name}",
          "--state-dir=/var/lib/kadalu/csi",
          "--storages=/etc/kadalu/storages",
          "--mountd=unix:/run/kadalu/mountd.sock",
        ]
        # A dead mount at a target is taken away on the client, too.
        privileged   = true
        network_mode = "host"

        mount {
          type     = "bind"
          source   = "/etc/kadalu/storages"
          target   = "/etc/kadalu/storages"
          readonly = true
        }
        mount {
          type   = "bind"
          source = "/run/kadalu"
          target = "/run/kadalu"
        }
        # Make it once: mkdir -m 700 -p /var/lib/kadalu/csi
        mount {
          type   = "bind"
          source = "/var/lib/kadalu/csi"
          target = "/var/lib/kadalu/csi"
        }
      }

      csi_plugin {
        id        = "kadalu"
        type      = "node"
        mount_dir = "/csi"
        # mountd and the plugin call a place by one name: what Nomad mounts here is this directory of the client.
        stage_publish_base_dir = "${var.data_dir}/client/csi/node/kadalu"
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
