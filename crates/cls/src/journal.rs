//! Class `journal`: a journal's header and its objects (Ceph `src/cls/journal/cls_journal.cc`).

use std::collections::BTreeMap;

use bytes::Bytes;
use encoding::{
    Decode, Encode, Errno,
    cls::journal::{Client, ClientState, ObjectSetPosition, TAG_CLASS_NEW, Tag},
};

use crate::{
    ObjectContext, Result,
    support::{
        Ctx, Walk, arg, args, done, ignore_enoent, key, list, list_args, reply_with, rm_key, scan, stored,
        write_key,
    },
};

const ORDER: &str = "order";
const SPLAY_WIDTH: &str = "splay_width";
const POOL_ID: &str = "pool_id";
const MINIMUM_SET: &str = "minimum_set";
const ACTIVE_SET: &str = "active_set";
const NEXT_TAG_TID: &str = "next_tag_tid";
const NEXT_TAG_CLASS: &str = "next_tag_class";
const CLIENT_PREFIX: &str = "client_";
const TAG_PREFIX: &str = "tag_";

/// Clients that are read at a time (`JOURNAL_MAX_RETURN`).
const MAX_RETURN: u64 = 256;
/// Octopus, from which on journals may have padding between entries.
const OCTOPUS: u8 = 15;

/// The value under a key. Unlike in other classes, a malformed one is EINVAL.
fn need<T: Decode>(ctx: &Ctx<'_>, key: impl AsRef<[u8]>) -> Result<T> {
    arg(&ctx.omap_get(key.as_ref())?.ok_or(Errno::ENOENT)?)
}

fn get<T: Decode + Encode>(ctx: &Ctx<'_>, key: &str) -> Result<Bytes> {
    reply_with(&need::<T>(ctx, key)?)
}

fn client_key(id: &Bytes) -> Bytes {
    key(CLIENT_PREFIX, id)
}

fn tag_key(tid: u64) -> Bytes {
    format!("{TAG_PREFIX}{tid:016x}").into()
}

/// `journal.create`: order of objects' size, objects in a set, pool of the objects.
pub(crate) fn create(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (order, splay_width, pool_id) = args(&input, |r| Ok((r.u8()?, r.u8()?, r.i64()?)))?;
    if ctx.omap_get(ORDER.as_bytes())?.is_some() {
        return Err(Errno::EEXIST);
    }
    write_key(ctx, ORDER, &order)?;
    write_key(ctx, SPLAY_WIDTH, &splay_width)?;
    write_key(ctx, POOL_ID, &pool_id)?;
    for key in [ACTIVE_SET, MINIMUM_SET, NEXT_TAG_TID, NEXT_TAG_CLASS] {
        write_key(ctx, key, &0_u64)?;
    }
    done()
}

/// `journal.get_order`.
pub(crate) fn get_order(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<u8>(ctx, ORDER)
}

/// `journal.get_splay_width`.
pub(crate) fn get_splay_width(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<u8>(ctx, SPLAY_WIDTH)
}

/// `journal.get_pool_id`.
pub(crate) fn get_pool_id(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<i64>(ctx, POOL_ID)
}

/// `journal.get_minimum_set`: the oldest object set.
pub(crate) fn get_minimum_set(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<u64>(ctx, MINIMUM_SET)
}

/// `journal.get_active_set`: the newest object set.
pub(crate) fn get_active_set(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<u64>(ctx, ACTIVE_SET)
}

/// `journal.get_next_tag_tid`.
pub(crate) fn get_next_tag_tid(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    get::<u64>(ctx, NEXT_TAG_TID)
}

/// Moves a set's number on; ESTALE if it is beyond that.
fn advance(ctx: &mut Ctx<'_>, key: &str, new: u64) -> Result<Bytes> {
    let old: u64 = need(ctx, key)?;
    if new < old {
        return Err(Errno::ESTALE);
    }
    if new > old {
        write_key(ctx, key, &new)?;
    }
    done()
}

/// `journal.set_minimum_set`: EINVAL beyond the newest set.
pub(crate) fn set_minimum_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let set: u64 = arg(&input)?;
    if need::<u64>(ctx, ACTIVE_SET)? < set {
        return Err(Errno::EINVAL);
    }
    advance(ctx, MINIMUM_SET, set)
}

/// `journal.set_active_set`: EINVAL before the oldest set.
pub(crate) fn set_active_set(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let set: u64 = arg(&input)?;
    if need::<u64>(ctx, MINIMUM_SET)? > set {
        return Err(Errno::EINVAL);
    }
    advance(ctx, ACTIVE_SET, set)
}

/// `journal.get_client`.
pub(crate) fn get_client(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&need::<Client>(ctx, client_key(&arg(&input)?))?)
}

fn clients(ctx: &Ctx<'_>, start_after: &Bytes, max: u64) -> Result<Vec<Client>> {
    let last = match start_after.is_empty() {
        true => Bytes::new(),
        false => client_key(start_after),
    };
    let clients = list(ctx, &last, CLIENT_PREFIX, max, stored)?;
    Ok(clients.into_iter().map(|(_, client)| client).collect())
}

/// `journal.client_list`.
pub(crate) fn client_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max) = list_args(&input)?;
    reply_with(&clients(ctx, &start_after, max)?)
}

/// What of the journal the client that is furthest behind has committed: where a new one starts.
fn least_committed(ctx: &Ctx<'_>) -> Result<ObjectSetPosition> {
    let mut least = ObjectSetPosition::default();
    let mut least_entry = None;
    let mut start_after = Bytes::new();
    loop {
        let batch = clients(ctx, &start_after, MAX_RETURN)?;
        for client in batch.iter().filter(|c| c.state != ClientState::DISCONNECTED) {
            let Some(first) = client.commit_position.object_positions.first() else {
                least = ObjectSetPosition::default();
                break;
            };
            let entry = (first.tag_tid, first.entry_tid);
            if least_entry.is_none_or(|l| entry < l) {
                least_entry = Some(entry);
                least = client.commit_position.clone();
            }
        }
        match batch.last() {
            Some(last) if batch.len() as u64 >= MAX_RETURN => start_after = last.id.clone(),
            _ => return Ok(least),
        }
    }
}

/// `journal.client_register`: name and data.
pub(crate) fn client_register(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, data): (Bytes, Bytes) = arg(&input)?;
    need::<u8>(ctx, ORDER)?;
    let key = client_key(&id);
    if ctx.omap_get(&key)?.is_some() {
        return Err(Errno::EEXIST);
    }
    let client = Client {
        id,
        data,
        commit_position: least_committed(ctx)?,
        state: ClientState::CONNECTED,
    };
    write_key(ctx, key, &client)?;
    done()
}

fn update_client(ctx: &mut Ctx<'_>, id: &Bytes, change: impl FnOnce(&mut Client)) -> Result<Bytes> {
    let key = client_key(id);
    let mut client = need(ctx, &key)?;
    change(&mut client);
    write_key(ctx, key, &client)?;
    done()
}

/// `journal.client_update_data`: name and data.
pub(crate) fn client_update_data(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, data): (Bytes, Bytes) = arg(&input)?;
    update_client(ctx, &id, |c| c.data = data)
}

/// `journal.client_update_state`: name and state.
pub(crate) fn client_update_state(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, state) = args(&input, |r| Ok((r.blob()?, ClientState::decode(r)?)))?;
    update_client(ctx, &id, |c| c.state = state)
}

/// `journal.client_commit`: name and position.
pub(crate) fn client_commit(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (id, position) = args(&input, |r| Ok((r.blob()?, ObjectSetPosition::decode(r)?)))?;
    let splay_width: u8 = need(ctx, SPLAY_WIDTH)?;
    if position.object_positions.len() > usize::from(splay_width) {
        return Err(Errno::EINVAL);
    }
    let key = client_key(&id);
    let mut client: Client = need(ctx, &key)?;
    if client.commit_position != position {
        client.commit_position = position;
        write_key(ctx, key, &client)?;
    }
    done()
}

/// `journal.client_unregister`: tags that only this client needed go with it.
pub(crate) fn client_unregister(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let id: Bytes = arg(&input)?;
    let key = client_key(&id);
    if ctx.omap_get(&key)?.is_none() {
        return Err(Errno::ENOENT);
    }
    rm_key(ctx, &key)?;
    expire_tags(ctx)?;
    done()
}

/// The smallest tag that a position names.
fn least_tag(position: &ObjectSetPosition) -> Option<u64> {
    position.object_positions.iter().map(|p| p.tag_tid).min()
}

/// Removes the tags that no client needs: of each class, those before the one that was in use when the client
/// that is furthest behind committed.
fn expire_tags(ctx: &mut Ctx<'_>) -> Result<()> {
    let mut least: Option<u64> = None;
    let mut all_committed = true;
    scan(ctx, b"", CLIENT_PREFIX, |_, value| {
        let client: Client = stored(value)?;
        if client.state == ClientState::DISCONNECTED {
            return Ok(Walk::On);
        }
        let Some(tid) = least_tag(&client.commit_position) else {
            all_committed = false;
            return Ok(Walk::Stop);
        };
        least = Some(least.map_or(tid, |l| l.min(tid)));
        Ok(Walk::On)
    })?;
    let (Some(least), true) = (least, all_committed) else {
        return Ok(());
    };
    let tags = tags_up_to(ctx, least)?;
    let in_use = newest_of_classes(&tags);
    for tag in tags {
        if in_use.get(&tag.tag_class).is_some_and(|newest| tag.tid < *newest) {
            ignore_enoent(rm_key(ctx, tag_key(tag.tid)))?;
        }
    }
    Ok(())
}

/// The tags up to and with the first whose number is at least `last`. EINVAL if one is under a key of another.
fn tags_up_to(ctx: &Ctx<'_>, last: u64) -> Result<Vec<Tag>> {
    let mut tags: Vec<Tag> = Vec::new();
    scan(ctx, TAG_PREFIX.as_bytes(), TAG_PREFIX, |key, value| {
        let tag: Tag = stored(value)?;
        if *key != tag_key(tag.tid) {
            return Err(Errno::EINVAL);
        }
        let end = tag.tid >= last;
        tags.push(tag);
        Ok(if end { Walk::Stop } else { Walk::On })
    })?;
    Ok(tags)
}

fn newest_of_classes(tags: &[Tag]) -> BTreeMap<u64, u64> {
    tags.iter().map(|t| (t.tag_class, t.tid)).collect()
}

/// `journal.get_tag`.
pub(crate) fn get_tag(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    reply_with(&need::<Tag>(ctx, tag_key(arg(&input)?))?)
}

/// `journal.tag_create`: number, class, data; ESTALE unless the number is the next one.
pub(crate) fn tag_create(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (tid, mut tag_class, data) = args(&input, |r| Ok((r.u64()?, r.u64()?, r.blob()?)))?;
    if ctx.omap_get(&tag_key(tid))?.is_some() {
        return Err(Errno::EEXIST);
    }
    if tid != need::<u64>(ctx, NEXT_TAG_TID)? {
        return Err(Errno::ESTALE);
    }
    let next_class: u64 = need(ctx, NEXT_TAG_CLASS)?;
    if tag_class == TAG_CLASS_NEW {
        tag_class = next_class;
        write_key(ctx, NEXT_TAG_CLASS, &next_class.wrapping_add(1))?;
    } else if tag_class >= next_class {
        return Err(Errno::EINVAL);
    }
    expire_tags(ctx)?;
    write_key(ctx, NEXT_TAG_TID, &tid.wrapping_add(1))?;
    write_key(ctx, tag_key(tid), &Tag { tid, tag_class, data })?;
    done()
}

/// `journal.tag_list`: the tags behind a number that a client still needs, of one class or of all.
pub(crate) fn tag_list(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (start_after, max, client_id, tag_class) = args(&input, |r| {
        Ok((r.u64()?, r.u64()?, r.blob()?, Option::<u64>::decode(r)?))
    })?;
    let client: Client = need(ctx, client_key(&client_id))?;
    let in_use = match least_tag(&client.commit_position) {
        None => BTreeMap::new(),
        Some(least) => newest_of_classes(&tags_up_to(ctx, least)?),
    };
    let mut tags: Vec<Tag> = Vec::new();
    scan(ctx, TAG_PREFIX.as_bytes(), TAG_PREFIX, |_, value| {
        let tag: Tag = stored(value)?;
        if start_after != 0 && tag.tid <= start_after {
            return Ok(Walk::On);
        }
        let oldest = in_use.get(&tag.tag_class).copied().unwrap_or(0);
        if tag.tid >= oldest && tag_class.is_none_or(|class| class == tag.tag_class) {
            tags.push(tag);
        }
        Ok(if tags.len() as u64 >= max {
            Walk::Stop
        } else {
            Walk::On
        })
    })?;
    reply_with(&tags)
}

/// `journal.guard_append`: EOVERFLOW once the object has reached the given size, in bytes.
pub(crate) fn guard_append(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let soft_max_size: u64 = arg(&input)?;
    if ctx.exists() && ctx.size() >= soft_max_size {
        return Err(Errno::EOVERFLOW);
    }
    done()
}

/// `journal.append`: appends unless the object has reached the given size, and pads it to what the store
/// allocates, so that the next append needs no read.
pub(crate) fn append(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let (soft_max_size, data): (u64, Bytes) = arg(&input)?;
    let offset = ctx.size();
    if offset >= soft_max_size {
        return Err(Errno::EOVERFLOW);
    }
    let end = offset + data.len() as u64;
    ctx.write(offset, data)?;
    if ctx.min_compat_client() < OCTOPUS {
        return done();
    }
    let unit = match ctx.min_alloc_size() {
        0 => 8,
        n => n,
    };
    match end.checked_next_multiple_of(unit) {
        Some(padded) if padded != end => ctx.truncate(padded)?,
        _ => {}
    }
    done()
}
