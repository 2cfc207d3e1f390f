//! The labs that tests share: each is brought up when the first test asks for it.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::lab::{Certificates, Lab, LabOptions, Root};

/// Every shared lab.
#[derive(Default)]
pub(crate) struct Labs {
    plain: OnceLock<Lab>,
    ipv6: OnceLock<Lab>,
    self_signed: OnceLock<Lab>,
    signed_by_ca: OnceLock<Lab>,
    secure_ports: OnceLock<Lab>,
    versions: OnceLock<Lab>,
    quota: OnceLock<Lab>,
    breakable: Mutex<Option<Lab>>,
}

impl Labs {
    /// Three servers in one cluster, two clients (the second is tshark's). Tests use volumes of their own and break
    /// nothing.
    pub(crate) fn plain(&self) -> &Lab {
        self.plain
            .get_or_init(|| Lab::new(LabOptions { clients: vec![Root::Machine; 2], ..LabOptions::default() }))
    }

    /// Two servers and a client that have IPv6 addresses only.
    pub(crate) fn ipv6(&self) -> &Lab {
        self.ipv6.get_or_init(|| {
            Lab::new(LabOptions { servers: vec![Root::Machine; 2], ipv6: true, ..LabOptions::default() })
        })
    }

    /// A cluster with `secure-access`.
    pub(crate) fn tls(&self, kind: Certificates) -> &Lab {
        let lab = match kind {
            Certificates::SelfSigned => &self.self_signed,
            Certificates::SignedByCa => &self.signed_by_ca,
        };
        lab.get_or_init(|| {
            Lab::new(LabOptions { servers: vec![Root::Machine; 2], tls: Some(kind), ..LabOptions::default() })
        })
    }

    /// One server with `rpc-auth-allow-insecure off`.
    pub(crate) fn secure_ports(&self) -> &Lab {
        self.secure_ports.get_or_init(|| {
            Lab::new(LabOptions {
                servers: vec![Root::Machine],
                allow_insecure: false,
                ..LabOptions::default()
            })
        })
    }

    /// A server of each suite, each a cluster of its own, and a client host of each beside the machine's.
    pub(crate) fn versions(&self) -> &Lab {
        self.versions.get_or_init(|| {
            let clients = [Root::Machine].into_iter().chain(Root::SUITES).collect();
            Lab::new(LabOptions {
                servers: Root::SUITES.to_vec(),
                peers: false,
                clients,
                ..LabOptions::default()
            })
        })
    }

    /// Three servers in one cluster, each with an XFS file system `quota` of 1 GiB that enforces project quota. Tests use
    /// volumes of their own, and file systems of their own where they remount or fill them.
    pub(crate) fn quota(&self) -> &Lab {
        self.quota.get_or_init(|| {
            let lab = Lab::new(LabOptions::default());
            for server in lab.servers() {
                server.make_xfs("quota", 1 << 30, "prjquota");
            }
            lab
        })
    }

    /// Three servers to kill and cut off, for one test at a time, whole again at each beginning.
    pub(crate) fn breakable(&self) -> Breakable<'_> {
        // A test that failed with it leaves a lab that `restore` mends.
        let mut lab = self.breakable.lock().unwrap_or_else(PoisonError::into_inner);
        match lab.as_ref() {
            Some(lab) => lab.restore(),
            None => *lab = Some(Lab::new(LabOptions::default())),
        }
        Breakable(lab)
    }
}

/// The lab of one test.
pub(crate) struct Breakable<'a>(MutexGuard<'a, Option<Lab>>);

impl Deref for Breakable<'_> {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.0.as_ref().expect("it was brought up when it was locked")
    }
}
