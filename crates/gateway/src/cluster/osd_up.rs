//! Which OSDs are up. The OSDs of this process always run: one that is marked down says so, as Ceph's do, and is marked
//! up again, unless the flag `noup` forbids it.

use encoding::{
    maps::{OsdMap, osd_state, osdmap_flags},
    types::Utime,
};

use super::{Cluster, ClusterError, Edit};

/// What happened to an OSD that was to be marked down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkedDown {
    /// It was up.
    Now,
    /// It was down already.
    Before,
    /// There is no such OSD.
    NoSuchOsd,
}

impl Edit {
    /// Marks OSD `i` down.
    pub(super) fn mark_down(&mut self, i: usize) {
        let map = &mut self.map;
        map.osd_state[i] &= !osd_state::UP;
        map.osd_info[i].down_at = map.epoch;
        map.osd_xinfo[i].down_stamp = map.modified;
        map.last_up_change = map.modified;
    }
}

fn index(map: &OsdMap, id: i32) -> Option<usize> {
    let i = usize::try_from(id).ok()?;
    let exists = map.osd_state.get(i).is_some_and(|state| state & osd_state::EXISTS != 0);
    exists.then_some(i)
}

impl Cluster {
    /// Marks OSDs down; returns what happened to each. Those that run come back at once, unless `noup` is set: in an epoch of its
    /// own, so that clients send their requests again. Blocks.
    pub fn mark_osds_down(&self, ids: &[i32]) -> Result<Vec<MarkedDown>, ClusterError> {
        let marked = self.change_osdmap(|edit| {
            let mut out = Vec::with_capacity(ids.len());
            edit.unchanged = true;
            for &id in ids {
                out.push(match index(&edit.map, id) {
                    None => MarkedDown::NoSuchOsd,
                    Some(i) if edit.map.osd_state[i] & osd_state::UP == 0 => MarkedDown::Before,
                    Some(i) => {
                        edit.mark_down(i);
                        edit.unchanged = false;
                        MarkedDown::Now
                    }
                });
            }
            Ok(out)
        })?;
        self.boot_osds()?;
        Ok(marked)
    }

    /// Marks the OSDs of this process up where they are not, unless `noup` is set. Blocks.
    pub fn boot_osds(&self) -> Result<(), ClusterError> {
        self.change_osdmap(|edit| {
            edit.unchanged = true;
            if edit.map.flags & osdmap_flags::NOUP != 0 {
                return Ok(());
            }
            let (epoch, now): (u32, Utime) = (edit.map.epoch, edit.map.modified);
            for &id in &self.running_osds {
                let Some(i) = index(&edit.map, id) else { continue };
                if edit.map.osd_state[i] & osd_state::UP != 0 {
                    continue;
                }
                edit.unchanged = false;
                edit.map.osd_state[i] |= osd_state::UP;
                edit.map.osd_info[i].up_from = epoch;
                edit.map.osd_info[i].up_thru = epoch;
                edit.map.last_up_change = now;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    #[test]
    fn an_osd_that_is_marked_down_comes_back_in_a_later_epoch() {
        let c = cluster();
        let before = c.osdmap().epoch;
        assert_eq!(c.mark_osds_down(&[0, 7]).unwrap(), [MarkedDown::Now, MarkedDown::NoSuchOsd]);
        let map = c.osdmap();
        assert!(map.is_up(0));
        assert_eq!(map.epoch, before + 2);
        assert_eq!((map.osd_info[0].down_at, map.osd_info[0].up_from), (before + 1, before + 2));
    }

    #[test]
    fn with_noup_it_stays_down_until_the_flag_goes() {
        let c = cluster();
        c.set_flags(osdmap_flags::NOUP, true).unwrap();
        c.mark_osds_down(&[0]).unwrap();
        assert!(!c.osdmap().is_up(0));
        assert_eq!(c.mark_osds_down(&[0]).unwrap(), [MarkedDown::Before]);
        c.set_flags(osdmap_flags::NOUP, false).unwrap();
        assert!(c.osdmap().is_up(0));
    }
}
