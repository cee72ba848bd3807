//! tgmesh-archiver
