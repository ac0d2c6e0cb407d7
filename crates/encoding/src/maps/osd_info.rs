//! `osd_info_t` and `osd_xinfo_t`: what the OSDMap knows of one OSD (Ceph `src/osd/OSDMap.h`).

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Decode, Encode, Put, Reader, Result},
    features::{Feature, Features},
    types::Utime,
};

/// Epochs at which an OSD went up, down and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OsdInfo {
    /// First epoch of the last interval that ended in a clean shutdown.
    pub last_clean_begin: u32,
    /// Its last epoch.
    pub last_clean_end: u32,
    /// When it was marked up.
    pub up_from: u32,
    /// Known to have been alive until.
    pub up_thru: u32,
    /// When it was marked down.
    pub down_at: u32,
    /// When its data was declared lost.
    pub lost_at: u32,
}

impl Decode for OsdInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        r.u8()?; // struct_v, 1 since it exists
        Ok(Self {
            last_clean_begin: r.u32()?,
            last_clean_end: r.u32()?,
            up_from: r.u32()?,
            up_thru: r.u32()?,
            down_at: r.u32()?,
            lost_at: r.u32()?,
        })
    }
}

impl Encode for OsdInfo {
    fn encode(&self, out: &mut BytesMut, _: Features) {
        out.put_u8(1);
        for epoch in [
            self.last_clean_begin,
            self.last_clean_end,
            self.up_from,
            self.up_thru,
            self.down_at,
            self.lost_at,
        ] {
            out.put_u32_le(epoch);
        }
    }
}

/// More about an OSD, of interest to servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OsdXinfo {
    /// When it was last marked down.
    pub down_stamp: Utime,
    /// How probable it is that it was only slow: 0 to `u32::MAX` stand for 0 to 1.
    pub laggy_probability: u32,
    /// How long it was slow, in seconds.
    pub laggy_interval: u32,
    /// The features it offers.
    pub features: u64,
    /// Its weight before it was marked out.
    pub old_weight: u32,
    /// When it last checked purged snapshots.
    pub last_purged_snaps_scrub: Utime,
    /// The last epoch at which it was known dead.
    pub dead_epoch: u32,
}

impl Decode for OsdXinfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let mut f = r.frame(4, "osd_xinfo_t")?;
        let mut x = Self {
            down_stamp: Utime::decode(&mut f)?,
            laggy_probability: f.u32()?,
            laggy_interval: f.u32()?,
            ..Self::default()
        };
        if f.since(2) {
            x.features = f.u64()?;
        }
        if f.since(3) {
            x.old_weight = f.u32()?;
        }
        if f.since(4) {
            x.last_purged_snaps_scrub = Utime::decode(&mut f)?;
            x.dead_epoch = f.u32()?;
        }
        Ok(x)
    }
}

impl Encode for OsdXinfo {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let octopus = features.has(Feature::SERVER_OCTOPUS);
        out.put_frame(if octopus { 4 } else { 3 }, 1, |out| {
            self.down_stamp.encode(out, features);
            out.put_u32_le(self.laggy_probability);
            out.put_u32_le(self.laggy_interval);
            out.put_u64_le(self.features);
            out.put_u32_le(self.old_weight);
            if octopus {
                self.last_purged_snaps_scrub.encode(out, features);
                out.put_u32_le(self.dead_epoch);
            }
        });
    }
}
