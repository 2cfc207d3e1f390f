# A PV for jobs: a directory of the volume of storage-config.yaml, of this size.
#
#   nomad volume create deploy/nomad/volume.hcl
#
# A job uses it by volume { type = "csi", source = "data", access_mode = "multi-node-multi-writer",
# attachment_mode = "file-system" } in its group, and volume_mount in its task.
id        = "data"
name      = "data"
type      = "csi"
plugin_id = "kadalu"

capacity_min = "1GiB"
capacity_max = "1GiB"

capability {
  access_mode     = "multi-node-multi-writer"
  attachment_mode = "file-system"
}

# What a storage class of Kubernetes has: `kadalu config` prints it. The rest is told by the file.
parameters {
  storage_name = "ext-storage"
}
