//! Encoding of the CRUSH map (Ceph `src/crush/CrushWrapper.cc`).

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use super::{
    crush::{
        BucketWeights, ChooseArg, CrushBucket, CrushMap, CrushRule, CrushStep, MsrTunables, Tunables,
        bucket_alg,
    },
    wire::{map_with, put_map_with},
};
use crate::{
    codec::{Decode, DecodeError, Encode, Put, Reader, Result, wire_len},
    features::{Feature, Features},
};

/// `CRUSH_MAGIC`.
const MAGIC: u32 = 0x0001_0000;

impl Encode for CrushMap {
    fn encode(&self, out: &mut BytesMut, features: Features) {
        let luminous = features.has(Feature::SERVER_LUMINOUS);
        out.put_u32_le(MAGIC);
        out.put_u32_le(wire_len(self.buckets.len()));
        out.put_u32_le(wire_len(self.rules.len()));
        out.put_i32_le(self.max_devices);
        // A peer that knows no choose args is given their weights in place of the buckets'.
        let compat = self.choose_args.values().next().filter(|_| !luminous);
        for (at, bucket) in (0..).zip(&self.buckets) {
            match bucket {
                None => out.put_u32_le(0),
                Some(b) => encode_bucket(b, compat.and_then(|args| args.get(&at)), out),
            }
        }
        let quincy = features.has(Feature::SERVER_QUINCY);
        for (id, rule) in self.rules.iter().enumerate() {
            match rule {
                None => out.put_u32_le(0),
                Some(r) => encode_rule(r, id, quincy, out),
            }
        }
        out.put_map(&self.type_names, features);
        out.put_map(&self.names, features);
        out.put_map(&self.rule_names, features);
        encode_tunables(&self.tunables, features, out);
        if luminous {
            out.put_map(&self.device_classes, features);
            out.put_map(&self.class_names, features);
            put_map_with(out, &self.class_buckets, features, |out, by_class| {
                out.put_map(by_class, features);
            });
            put_map_with(out, &self.choose_args, features, |out, args| {
                put_map_with(out, args, features, |out, arg| encode_choose_arg(arg, out));
            });
            if let Some(msr) = self.msr.filter(|_| features.has(Feature::CRUSH_MSR)) {
                out.put_u32_le(msr.descents);
                out.put_u32_le(msr.collision_tries);
            }
        }
    }
}

fn encode_bucket(b: &CrushBucket, compat: Option<&ChooseArg>, out: &mut BytesMut) {
    let alg = b.weights.alg();
    out.put_u32_le(alg.into());
    out.put_i32_le(b.id);
    out.put_u16_le(b.kind);
    out.put_u8(alg);
    out.put_u8(b.hash);
    out.put_u32_le(b.weight);
    out.put_u32_le(wire_len(b.items.len()));
    for item in &b.items {
        out.put_i32_le(*item);
    }
    match &b.weights {
        BucketWeights::Uniform(w) => out.put_u32_le(*w),
        BucketWeights::Tree(nodes) => {
            // One byte on the wire, so that a tree has at most 255 nodes.
            let n = u8::try_from(nodes.len()).unwrap_or(u8::MAX);
            out.put_u8(n);
            for w in nodes.iter().take(n.into()) {
                out.put_u32_le(*w);
            }
        }
        BucketWeights::List(pairs) | BucketWeights::Straw(pairs) => {
            for (weight, other) in pairs {
                out.put_u32_le(*weight);
                out.put_u32_le(*other);
            }
        }
        BucketWeights::Straw2(weights) => {
            let weights = compat
                .and_then(|arg| arg.weight_set.first())
                .filter(|set| set.len() == weights.len())
                .unwrap_or(weights);
            for w in weights {
                out.put_u32_le(*w);
            }
        }
    }
}

fn encode_rule(rule: &CrushRule, id: usize, quincy: bool, out: &mut BytesMut) {
    out.put_u32_le(1);
    out.put_u32_le(wire_len(rule.steps.len()));
    out.put_u8(id as u8); // the rule set, which is the rule since Luminous; there are at most 256
    out.put_u8(rule.kind);
    if quincy {
        out.put_slice(&[1, 100]);
    } else {
        out.put_slice(&[rule.min_size, rule.max_size]);
    }
    for step in &rule.steps {
        out.put_u32_le(step.op);
        out.put_i32_le(step.arg1);
        out.put_i32_le(step.arg2);
    }
}

fn encode_tunables(t: &Tunables, features: Features, out: &mut BytesMut) {
    out.put_u32_le(t.choose_local_tries);
    out.put_u32_le(t.choose_local_fallback_tries);
    out.put_u32_le(t.choose_total_tries);
    out.put_u32_le(t.chooseleaf_descend_once);
    out.put_u8(t.chooseleaf_vary_r);
    out.put_u8(t.straw_calc_version);
    out.put_u32_le(t.allowed_bucket_algs);
    if features.has(Feature::CRUSH_TUNABLES5) {
        out.put_u8(t.chooseleaf_stable);
    }
}

fn encode_choose_arg(arg: &ChooseArg, out: &mut BytesMut) {
    out.put_u32_le(wire_len(arg.weight_set.len()));
    for weights in &arg.weight_set {
        out.put_vec(weights.iter(), Features::NONE);
    }
    out.put_vec(arg.ids.iter(), Features::NONE);
}

impl Decode for CrushMap {
    /// Reads up to the end of `r`: what is missing at the end was not known to the writer.
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match r.u32()? {
            MAGIC => {}
            magic => {
                return Err(DecodeError::Invalid {
                    what: "crush magic",
                    value: magic.into(),
                });
            }
        }
        let buckets = r.count(4, "crush buckets")?;
        let rules = r.count(4, "crush rules")?;
        let mut map = Self {
            max_devices: r.i32()?,
            ..Self::default()
        };
        for _ in 0..buckets {
            map.buckets.push(decode_bucket(r)?);
        }
        for id in 0..rules {
            map.rules.push(decode_rule(r, id)?);
        }
        map.type_names = decode_names(r)?;
        map.names = decode_names(r)?;
        map.rule_names = decode_names(r)?;
        map.decode_tail(r)?;
        Ok(map)
    }
}

impl CrushMap {
    fn decode_tail(&mut self, r: &mut Reader<'_>) -> Result<()> {
        let t = &mut self.tunables;
        if !r.is_empty() {
            t.choose_local_tries = r.u32()?;
            t.choose_local_fallback_tries = r.u32()?;
            t.choose_total_tries = r.u32()?;
        }
        if !r.is_empty() {
            t.chooseleaf_descend_once = r.u32()?;
        }
        if !r.is_empty() {
            t.chooseleaf_vary_r = r.u8()?;
        }
        if !r.is_empty() {
            t.straw_calc_version = r.u8()?;
        }
        if !r.is_empty() {
            t.allowed_bucket_algs = r.u32()?;
        }
        if !r.is_empty() {
            t.chooseleaf_stable = r.u8()?;
        }
        if !r.is_empty() {
            self.device_classes = r.map()?;
            self.class_names = r.map()?;
            self.class_buckets = map_with(r, Reader::map)?;
        }
        if !r.is_empty() {
            let buckets = self.buckets.len();
            self.choose_args = map_with(r, |r| {
                let args: BTreeMap<u32, ChooseArg> = map_with(r, decode_choose_arg)?;
                match args.keys().find(|at| **at as usize >= buckets) {
                    None => Ok(args),
                    Some(at) => Err(DecodeError::Invalid {
                        what: "crush choose_args bucket",
                        value: (*at).into(),
                    }),
                }
            })?;
        }
        if !r.is_empty() {
            self.msr = Some(MsrTunables {
                descents: r.u32()?,
                collision_tries: r.u32()?,
            });
        }
        Ok(())
    }
}

fn decode_bucket(r: &mut Reader<'_>) -> Result<Option<CrushBucket>> {
    let outer_alg = r.u32()?;
    if outer_alg == 0 {
        return Ok(None);
    }
    let id = r.i32()?;
    let kind = r.u16()?;
    let alg = r.u8()?;
    let hash = r.u8()?;
    let weight = r.u32()?;
    if outer_alg != u32::from(alg) {
        return Err(DecodeError::Invalid {
            what: "crush bucket algorithm",
            value: outer_alg.into(),
        });
    }
    let items: Vec<i32> = r.vec()?;
    let n = items.len();
    let weights = match alg {
        bucket_alg::UNIFORM => BucketWeights::Uniform(r.u32()?),
        bucket_alg::LIST => BucketWeights::List(times(r, n)?),
        bucket_alg::TREE => {
            let nodes = r.u8()?;
            BucketWeights::Tree(times(r, nodes.into())?)
        }
        bucket_alg::STRAW => BucketWeights::Straw(times(r, n)?),
        bucket_alg::STRAW2 => BucketWeights::Straw2(times(r, n)?),
        _ => {
            return Err(DecodeError::Invalid {
                what: "crush bucket algorithm",
                value: alg.into(),
            });
        }
    };
    Ok(Some(CrushBucket {
        id,
        kind,
        hash,
        weight,
        items,
        weights,
    }))
}

/// `n` values without a count in front; `n` is that of values which were read already.
fn times<T: Decode>(r: &mut Reader<'_>, n: usize) -> Result<Vec<T>> {
    (0..n).map(|_| T::decode(r)).collect()
}

fn decode_rule(r: &mut Reader<'_>, id: usize) -> Result<Option<CrushRule>> {
    if r.u32()? == 0 {
        return Ok(None);
    }
    let len = r.u32()?;
    let [ruleset, kind, min_size, max_size] = r.array("crush_rule_mask")?;
    if usize::from(ruleset) != id {
        return Err(DecodeError::Invalid {
            what: "crush ruleset, which must be the rule's id",
            value: ruleset.into(),
        });
    }
    let mut steps = Vec::new();
    for _ in 0..len {
        steps.push(CrushStep {
            op: r.u32()?,
            arg1: r.i32()?,
            arg2: r.i32()?,
        });
    }
    Ok(Some(CrushRule {
        kind,
        min_size,
        max_size,
        steps,
    }))
}

/// Names by id. Some old writers used 64-bit ids: names are never empty, so a zero length is the upper half.
fn decode_names(r: &mut Reader<'_>) -> Result<BTreeMap<i32, String>> {
    map_with(r, |r| {
        let mut len = r.u32()? as usize;
        if len == 0 {
            len = r.u32()? as usize;
        }
        let raw = r.slice(len, "crush name")?;
        std::str::from_utf8(raw)
            .map(str::to_owned)
            .map_err(|_| DecodeError::NotUtf8("crush name"))
    })
}

fn decode_choose_arg(r: &mut Reader<'_>) -> Result<ChooseArg> {
    Ok(ChooseArg {
        weight_set: r.vec_with(Reader::vec)?,
        ids: r.vec()?,
    })
}
