//! Where clients come in: the usual ports, or a further listener, whose clients are given maps with the addresses
//! there in place of the usual ones.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use encoding::{
    maps::{MgrMap, MonMap, OsdAddrs, OsdMap, OsdMapIncremental},
    types::EntityAddrVec,
};

/// One way in. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Entrance(Option<Arc<Further>>);

#[derive(Debug)]
struct Further {
    number: u16,
    mon: EntityAddrVec,
    mgr: EntityAddrVec,
    osds: BTreeMap<i32, EntityAddrVec>,
}

impl Entrance {
    /// The usual ports: maps are as they are.
    pub const USUAL: Self = Self(None);

    /// A further listener. Its number, 1 or more, tells it from others.
    #[must_use]
    pub fn further(
        number: u16,
        mon: EntityAddrVec,
        mgr: EntityAddrVec,
        osds: BTreeMap<i32, EntityAddrVec>,
    ) -> Self {
        Self(Some(Arc::new(Further {
            number,
            mon,
            mgr,
            osds,
        })))
    }

    /// 0 is the usual one. Maps for clients of the same number are the same.
    pub(super) fn number(&self) -> u16 {
        self.0.as_ref().map_or(0, |further| further.number)
    }

    /// The monitor map as clients see it.
    #[must_use]
    pub fn monmap<'a>(&self, map: &'a MonMap) -> Cow<'a, MonMap> {
        let Some(further) = &self.0 else {
            return Cow::Borrowed(map);
        };
        let mut map = map.clone();
        for mon in map.mons.values_mut() {
            mon.public_addrs.clone_from(&further.mon);
        }
        Cow::Owned(map)
    }

    /// The manager map as clients see it.
    #[must_use]
    pub fn mgrmap<'a>(&self, map: &'a MgrMap) -> Cow<'a, MgrMap> {
        let Some(further) = &self.0 else {
            return Cow::Borrowed(map);
        };
        let mut map = map.clone();
        map.active_addrs.clone_from(&further.mgr);
        Cow::Owned(map)
    }

    /// The OSD map as clients see it.
    #[must_use]
    pub fn osdmap<'a>(&self, map: &'a OsdMap) -> Cow<'a, OsdMap> {
        let Some(further) = &self.0 else {
            return Cow::Borrowed(map);
        };
        let mut map = map.clone();
        for (id, addrs) in (0..).zip(&mut map.osd_addrs) {
            if let Some(there) = further.osds.get(&id) {
                *addrs = OsdAddrs {
                    client: there.clone(),
                    cluster: there.clone(),
                    hb_back: there.clone(),
                    hb_front: there.clone(),
                };
            }
        }
        Cow::Owned(map)
    }

    /// A change of the OSD map as clients see it. Whatever addresses an OSD came up at in that epoch, they are told
    /// those it has here now, as the ports of earlier processes are of no use.
    #[must_use]
    pub fn incremental<'a>(&self, change: &'a OsdMapIncremental) -> Cow<'a, OsdMapIncremental> {
        let Some(further) = &self.0 else {
            return Cow::Borrowed(change);
        };
        let mut change = change.clone();
        for addrs in [
            &mut change.new_up_client,
            &mut change.new_up_cluster,
            &mut change.new_hb_back_up,
            &mut change.new_hb_front_up,
        ] {
            for (id, addrs) in addrs {
                if let Some(there) = further.osds.get(id) {
                    addrs.clone_from(there);
                }
            }
        }
        if let Some(full) = &mut change.full_map {
            **full = self.osdmap(full).into_owned();
        }
        Cow::Owned(change)
    }
}

#[cfg(test)]
mod tests {
    use encoding::{
        maps::osd_state,
        types::{EntityAddr, Utime},
    };

    use super::*;

    fn addrs(port: u16) -> EntityAddrVec {
        EntityAddrVec(vec![EntityAddr::v1(([127, 0, 0, 1], port).into(), 7)])
    }

    fn map(port: u16) -> OsdMap {
        let mut map = OsdMap::default();
        map.set_max_osd(2);
        map.osd_state = vec![osd_state::EXISTS | osd_state::UP; 2];
        for osd in &mut map.osd_addrs {
            osd.client = addrs(port);
        }
        map
    }

    #[test]
    fn clients_of_a_further_listener_are_told_the_addresses_there_and_nothing_else_differs() {
        let osds = [(0, addrs(21)), (1, addrs(22))].into();
        let entrance = Entrance::further(1, addrs(20), addrs(23), osds);
        let usual = map(10);
        let seen = entrance.osdmap(&usual).into_owned();
        assert_eq!(seen.osd_addrs[1].client, addrs(22));
        let mut again = seen;
        again.osd_addrs.clone_from(&usual.osd_addrs);
        assert_eq!(again, usual);

        let mut mons = MonMap::default();
        mons.add("a", addrs(10));
        assert_eq!(entrance.monmap(&mons).mons["a"].public_addrs, addrs(20));
        assert_eq!(entrance.mgrmap(&MgrMap::default()).active_addrs, addrs(23));

        let mut change = OsdMapIncremental::new(usual.fsid, 1, Utime::default());
        change.new_up_client.insert(1, addrs(10));
        change.full_map = Some(Box::new(usual));
        let seen = entrance.incremental(&change);
        assert_eq!(seen.new_up_client[&1], addrs(22));
        assert_eq!(seen.full_map.as_ref().unwrap().osd_addrs[0].client, addrs(21));
    }

    #[test]
    fn at_the_usual_ports_maps_are_as_they_are() {
        let usual = map(10);
        assert!(matches!(Entrance::USUAL.osdmap(&usual), Cow::Borrowed(_)));
    }
}
