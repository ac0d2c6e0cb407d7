//! A CurveBS cluster for tests.
