//! The operator: KadaluStorage objects of Kubernetes reconciled into storage classes, the driver's list and a status.

pub mod crd;
pub mod rbac;
