//! End-to-end tests of rbdgate with stock Ceph clients.
