//! tgmesh
