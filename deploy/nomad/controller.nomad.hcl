# Makes and deletes PVs of Gluster volumes for Nomad. It has been written by Nomad's documentation of csi_plugin, and has not
# been run there: say what you find.
#
#   nomad job run -var image=registry.example.com/kadalu:0.1.0-bookworm deploy/nomad/controller.nomad.hcl
#
# A client needs, in the configuration of its Docker driver: allow_privileged = true, and volumes { enabled = true }.

variable "image" {
  type        = string
  description = "Of deploy/Containerfile"
}

job "kadalu-controller" {
  # One at a time: what it does to a volume, nobody else does.
  type = "service"

  group "controller" {
    count = 1

    task "kadalu" {
      driver = "docker"

      config {
        image = var.image
        # PID 1 reaps what glusterfs leaves, which kadalu does not.
        entrypoint = ["/usr/lib/kadalu/supervise", "kadalu", "csi"]
        args = [
          "--mode=controller",
          "--endpoint=unix:///csi/csi.sock",
          "--state-dir=/local/csi",
          "--storages=/etc/kadalu/storages",
        ]
        # /dev/fuse and mount(2): it looks into the volumes, and no mount of this container leaves it.
        privileged   = true
        network_mode = "host"

        mount {
          type     = "bind"
          source   = "/etc/kadalu/storages"
          target   = "/etc/kadalu/storages"
          readonly = true
        }
      }

      csi_plugin {
        id        = "kadalu"
        type      = "controller"
        mount_dir = "/csi"
        # The first PV of a volume waits for its mount.
        health_timeout = "2m"
      }

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }
}
