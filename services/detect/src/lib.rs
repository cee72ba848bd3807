//! tgmesh-detect
