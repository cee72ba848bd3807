//! tgmesh-lifecycle
