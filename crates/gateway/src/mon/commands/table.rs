//! The table of all commands. Rows that share words stand in the order in which clients try them.

use super::{
    Context, auth, auth_keys, cluster, config, df, mgr, mon, osd, osd_dump, osd_tree, pool, pool_vars,
    status, unsupported,
};
use crate::mon::command_table::{Command, DEPRECATED, TELL};

macro_rules! commands {
    ($($signature:literal, $help:literal, $module:literal, $perm:literal, $flags:expr, $handler:expr;)*) => {
        /// All commands.
        pub const COMMANDS: &[Command] = &[$(Command {
            signature: $signature,
            help: $help,
            module: $module,
            perm: $perm,
            flags: $flags,
            handler: |ctx: &Context<'_>| $handler(ctx),
        },)*];
    };
}

#[rustfmt::skip]
commands! {
    "get_command_descriptions",
        "describe all commands", "mon", "r", TELL, cluster::descriptions;
    "fsid",
        "show the cluster's identity", "mon", "r", 0, cluster::fsid;
    "version",
        "show the version of the monitor", "mon", "r", TELL, cluster::version;
    "versions",
        "show the versions of all daemons", "mon", "r", 0, cluster::versions;
    "features",
        "show the features of connected clients", "mon", "r", 0, cluster::features;
    "status",
        "show the cluster's status", "mon", "r", 0, status::status;
    "health name=detail,type=CephChoices,strings=detail,req=false",
        "show the cluster's health", "mon", "r", 0, status::health;
    "df name=detail,type=CephChoices,strings=detail,req=false",
        "show used and free space", "mon", "r", 0, df::df;
    "node ls name=type,type=CephChoices,strings=all|osd|mon|mds|mgr,req=false",
        "list hosts and their daemons", "mon", "r", 0, cluster::node_ls;
    "quorum_status",
        "show the monitors' quorum", "mon", "r", 0, mon::quorum_status;
    "mon_status",
        "show the monitor's status", "mon", "r", TELL, mon::mon_status;
    "time-sync-status",
        "show whether clocks agree", "mon", "r", 0, cluster::time_sync_status;
    "log name=logtext,type=CephString,n=N",
        "write to the cluster's log", "mon", "rw", 0, cluster::log;
    "log last name=num,type=CephInt,range=1,req=false \
     name=level,type=CephChoices,strings=debug|info|sec|warn|error,req=false \
     name=channel,type=CephChoices,strings=*|cluster|audit|cephadm,req=false",
        "show the last lines of the cluster's log", "mon", "r", 0, cluster::log_last;
    "mon dump name=epoch,type=CephInt,range=0,req=false",
        "show the monitor map", "mon", "r", 0, mon::dump;
    "mon set name=name,type=CephChoices,strings=auth_service_cipher|auth_allowed_ciphers|auth_preferred_cipher \
     name=value,type=CephString",
        "set which types of keys are used", "mon", "rw", 0, auth_keys::mon_set;
    "mon stat",
        "show the monitors in a line", "mon", "r", 0, mon::stat;
    "mon getmap name=epoch,type=CephInt,range=0,req=false",
        "get the monitor map, encoded", "mon", "r", 0, mon::getmap;
    "mon metadata name=id,type=CephString,req=false",
        "show facts about monitors", "mon", "r", 0, mon::metadata;
    "mon versions",
        "show the versions of monitors", "mon", "r", 0, mon::versions;
    "mon feature ls name=with_value,type=CephChoices,strings=--with-value,req=false",
        "list monitor features", "mon", "r", 0, mon::feature_ls;
    "heap \
     name=heapcmd,type=CephChoices,strings=dump|start_profiler|stop_profiler|release|get_release_rate|set_release_rate|stats \
     name=value,type=CephString,req=false",
        "show heap usage", "mon", "rw", TELL, cluster::heap;
    "injectargs name=injected_args,type=CephString,n=N",
        "set options of the running daemon", "mon", "rw", TELL, unsupported;
    "mgr dump name=epoch,type=CephInt,range=0,req=false",
        "show the manager map", "mgr", "r", 0, mgr::dump;
    "mgr stat",
        "show the manager in short", "mgr", "r", 0, mgr::stat;
    "mgr services",
        "list what manager modules serve", "mgr", "r", 0, mgr::services;
    "mgr module ls",
        "list manager modules", "mgr", "r", 0, mgr::module_ls;
    "mgr module enable name=module,type=CephString name=force,type=CephChoices,strings=--force,req=false",
        "enable a manager module", "mgr", "rw", 0, unsupported;
    "mgr metadata name=who,type=CephString,req=false",
        "show facts about managers", "mgr", "r", 0, mgr::metadata;
    "balancer status",
        "show the balancer's status", "mgr", "r", 0, mgr::balancer_status;
    "crash ls",
        "list crashes", "mgr", "r", 0, cluster::empty_list;
    "crash ls-new",
        "list new crashes", "mgr", "r", 0, cluster::empty_list;
    "device ls",
        "list devices", "mgr", "r", 0, cluster::empty_list;
    "service dump",
        "show the service map", "service", "r", 0, cluster::service_dump;
    "mds stat",
        "show the metadata servers", "mds", "r", 0, cluster::mds_stat;
    "fs ls",
        "list filesystems", "fs", "r", 0, cluster::fs_ls;
    "pg stat",
        "show placement groups in a line", "pg", "r", 0, status::pg_stat;
    "osd stat",
        "show the OSD map in a line", "osd", "r", 0, osd::stat;
    "osd dump name=epoch,type=CephInt,range=0,req=false",
        "show the OSD map", "osd", "r", 0, osd_dump::dump;
    "osd getmap name=epoch,type=CephInt,range=0,req=false",
        "get the OSD map, encoded", "osd", "r", 0, osd_dump::getmap;
    "osd getcrushmap name=epoch,type=CephInt,range=0,req=false",
        "get the CRUSH map, encoded", "osd", "r", 0, osd_tree::getcrushmap;
    "osd getmaxosd",
        "show the largest OSD id plus one", "osd", "r", 0, osd::getmaxosd;
    "osd ls name=epoch,type=CephInt,range=0,req=false",
        "list OSD ids", "osd", "r", 0, osd::ls;
    "osd tree name=epoch,type=CephInt,range=0,req=false \
     name=states,type=CephChoices,strings=up|down|in|out|destroyed,n=N,req=false",
        "show OSDs by place", "osd", "r", 0, osd_tree::tree;
    "osd df name=output_method,type=CephChoices,strings=plain|tree,req=false \
     name=filter_by,type=CephChoices,strings=class|name,req=false name=filter,type=CephString,req=false",
        "show used and free space by OSD", "osd", "r", 0, df::osd_df;
    "osd find name=id,type=CephOsdName",
        "show where an OSD is", "osd", "r", 0, osd_tree::find;
    "osd metadata name=id,type=CephOsdName,req=false",
        "show facts about OSDs", "osd", "r", 0, osd::metadata;
    "osd versions",
        "show the versions of OSDs", "osd", "r", 0, osd::versions;
    "osd perf",
        "show latencies of OSDs", "osd", "r", 0, osd::perf;
    "osd utilization",
        "show placement groups by OSD", "osd", "r", 0, osd::utilization;
    "osd map name=pool,type=CephPoolname name=object,type=CephObjectname \
     name=nspace,type=CephString,req=false",
        "show where an object is placed", "osd", "r", 0, osd_tree::map_object;
    "osd lspools",
        "list pools", "osd", "r", DEPRECATED, pool::lspools;
    "osd get-require-min-compat-client",
        "show the oldest clients to be served", "osd", "r", 0, osd::min_compat_client;
    "osd set-require-min-compat-client name=version,type=CephString \
     name=yes_i_really_mean_it,type=CephBool,req=false",
        "set the oldest clients to be served", "osd", "rw", 0, osd::set_min_compat_client;
    "osd set \
     name=key,type=CephChoices,strings=full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|noscrub|nodeep-scrub|notieragent|nosnaptrim|pglog_hardlimit \
     name=yes_i_really_mean_it,type=CephBool,req=false",
        "set a flag", "osd", "rw", 0, osd::set;
    "osd unset \
     name=key,type=CephChoices,strings=full|pause|noup|nodown|noout|noin|nobackfill|norebalance|norecover|noscrub|nodeep-scrub|notieragent|nosnaptrim",
        "clear a flag", "osd", "rw", 0, osd::unset;
    "osd down name=ids,type=CephString,n=N name=definitely_dead,type=CephBool,req=false",
        "mark OSDs down; those that run come back", "osd", "rw", 0, osd::down;
    "osd crush rule ls",
        "list CRUSH rules", "osd", "r", 0, osd_tree::rule_ls;
    "osd crush rule list",
        "list CRUSH rules", "osd", "r", DEPRECATED, osd_tree::rule_ls;
    "osd crush rule dump name=name,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "show CRUSH rules", "osd", "r", 0, osd_tree::rule_dump;
    "osd crush show-tunables",
        "show CRUSH tunables", "osd", "r", 0, osd_tree::tunables;
    "osd erasure-code-profile ls",
        "list erasure code profiles", "osd", "r", 0, cluster::empty_list;
    "osd blocklist name=range,type=CephString,goodchars=[range],req=false \
     name=blocklistop,type=CephChoices,strings=add|rm name=addr,type=CephEntityAddr \
     name=expire,type=CephFloat,range=0.0,req=false",
        "shut a client out, or let it in again", "osd", "rw", 0, osd::blocklist;
    "osd blocklist ls",
        "list clients that are shut out", "osd", "r", 0, osd::blocklist_ls;
    "osd blocklist clear",
        "let all clients in again", "osd", "rw", 0, osd::blocklist_clear;
    "osd blacklist name=blacklistop,type=CephChoices,strings=add|rm name=addr,type=CephEntityAddr \
     name=expire,type=CephFloat,range=0.0,req=false",
        "shut a client out, or let it in again", "osd", "rw", DEPRECATED, osd::blocklist;
    "osd blacklist ls",
        "list clients that are shut out", "osd", "r", DEPRECATED, osd::blocklist_ls;
    "osd blacklist clear",
        "let all clients in again", "osd", "rw", DEPRECATED, osd::blocklist_clear;
    "osd pool ls name=detail,type=CephChoices,strings=detail,req=false",
        "list pools", "osd", "r", 0, pool::ls;
    "osd pool create name=pool,type=CephPoolname name=pg_num,type=CephInt,range=0,req=false \
     name=pgp_num,type=CephInt,range=0,req=false \
     name=pool_type,type=CephChoices,strings=replicated|erasure,req=false \
     name=erasure_code_profile,type=CephString,req=false,goodchars=[A-Za-z0-9-_.] \
     name=rule,type=CephString,req=false name=expected_num_objects,type=CephInt,range=0,req=false \
     name=size,type=CephInt,range=0,req=false name=pg_num_min,type=CephInt,range=0,req=false \
     name=pg_num_max,type=CephInt,range=0,req=false \
     name=autoscale_mode,type=CephChoices,strings=on|off|warn,req=false name=bulk,type=CephBool,req=false \
     name=target_size_bytes,type=CephInt,range=0,req=false \
     name=target_size_ratio,type=CephFloat,range=0.0,req=false",
        "make a pool", "osd", "rw", 0, pool::create;
    "osd pool delete name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false \
     name=yes_i_really_really_mean_it,type=CephBool,req=false \
     name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
        "delete a pool", "osd", "rw", DEPRECATED, pool::delete;
    "osd pool rm name=pool,type=CephPoolname name=pool2,type=CephPoolname,req=false \
     name=yes_i_really_really_mean_it,type=CephBool,req=false \
     name=yes_i_really_really_mean_it_not_faking,type=CephBool,req=false",
        "delete a pool", "osd", "rw", 0, pool::delete;
    "osd pool rename name=srcpool,type=CephPoolname name=destpool,type=CephPoolname",
        "rename a pool", "osd", "rw", 0, pool::rename;
    "osd pool get name=pool,type=CephPoolname \
     name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|use_gmt_hitset|fast_read|pg_autoscale_mode|bulk|all",
        "show a variable of a pool", "osd", "r", 0, pool_vars::get;
    "osd pool set name=pool,type=CephPoolname \
     name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|use_gmt_hitset|fast_read|pg_autoscale_mode|bulk \
     name=val,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
        "set a variable of a pool", "osd", "rw", 0, pool_vars::set;
    "osd pool stats name=pool_name,type=CephPoolname,req=false",
        "show how busy pools are", "osd", "r", 0, pool::stats;
    "osd pool autoscale-status name=format,type=CephString,req=false",
        "show placement groups by pool", "mgr", "r", 0, pool::autoscale_status;
    "osd pool set-quota name=pool,type=CephPoolname \
     name=field,type=CephChoices,strings=max_objects|max_bytes name=val,type=CephString",
        "limit a pool", "osd", "rw", 0, pool::set_quota;
    "osd pool get-quota name=pool,type=CephPoolname",
        "show the limits of a pool", "osd", "r", 0, pool::get_quota;
    "osd pool mksnap name=pool,type=CephPoolname name=snap,type=CephString",
        "make a snapshot of a pool", "osd", "rw", 0, pool::mksnap;
    "osd pool rmsnap name=pool,type=CephPoolname name=snap,type=CephString",
        "remove a snapshot of a pool", "osd", "rw", 0, pool::rmsnap;
    "osd pool application enable name=pool,type=CephPoolname \
     name=app,type=CephString,goodchars=[A-Za-z0-9-_.] name=yes_i_really_mean_it,type=CephBool,req=false",
        "say what a pool is for", "osd", "rw", 0, pool::application_enable;
    "osd pool application disable name=pool,type=CephPoolname name=app,type=CephString \
     name=yes_i_really_mean_it,type=CephBool,req=false",
        "take back what a pool is for", "osd", "rw", 0, pool::application_disable;
    "osd pool application set name=pool,type=CephPoolname name=app,type=CephString \
     name=key,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=value,type=CephString,goodchars=[A-Za-z0-9-_.=]",
        "set a key of a pool's application", "osd", "rw", 0, pool::application_set;
    "osd pool application rm name=pool,type=CephPoolname name=app,type=CephString name=key,type=CephString",
        "remove a key of a pool's application", "osd", "rw", 0, pool::application_rm;
    "osd pool application get name=pool,type=CephPoolname,req=false name=app,type=CephString,req=false \
     name=key,type=CephString,req=false",
        "show what pools are for", "osd", "r", 0, pool::application_get;
    "auth get name=entity,type=CephString",
        "show an entity's keyring", "auth", "rx", 0, auth::get;
    "auth get-key name=entity,type=CephString",
        "show an entity's key", "auth", "rx", 0, auth::get_key;
    "auth print-key name=entity,type=CephString",
        "show an entity's key", "auth", "rx", 0, auth::get_key;
    "auth print_key name=entity,type=CephString",
        "show an entity's key", "auth", "rx", 0, auth::get_key;
    "auth export name=entity,type=CephString,req=false",
        "show all keys as a keyring, or one", "auth", "rx", 0, auth::export;
    "auth ls",
        "list entities", "auth", "rx", 0, auth::ls;
    "auth list",
        "list entities", "auth", "rx", DEPRECATED, auth::ls;
    "auth import",
        "take entities from a keyring", "auth", "rwx", 0, auth::import;
    "auth add name=entity,type=CephString name=caps,type=CephString,n=N,req=false \
     name=key_type,type=CephString,req=false,positional=false",
        "add an entity", "auth", "rwx", 0, auth::add;
    "auth get-or-create name=entity,type=CephString name=caps,type=CephString,n=N,req=false \
     name=key_type,type=CephString,req=false,positional=false",
        "show an entity's keyring; make it if there is none", "auth", "rwx", 0, auth::get_or_create;
    "auth get-or-create-key name=entity,type=CephString name=caps,type=CephString,n=N,req=false \
     name=key_type,type=CephString,req=false,positional=false",
        "show an entity's key; make it if there is none", "auth", "rwx", 0, auth::get_or_create_key;
    "auth rotate name=entity,type=CephString name=key_type,type=CephString,req=false,positional=false",
        "give an entity a new key", "auth", "rwx", 0, auth_keys::rotate;
    "auth get-or-create-pending name=entity,type=CephString \
     name=key_type,type=CephString,req=false,positional=false",
        "show the key that is to replace an entity's key when it is first used; make it if there is none",
        "auth", "rwx", 0, auth_keys::get_or_create_pending;
    "auth clear-pending name=entity,type=CephString",
        "drop the key that was to replace an entity's key", "auth", "rwx", 0, auth_keys::clear_pending;
    "auth commit-pending name=entity,type=CephString",
        "replace an entity's key by the pending one now", "auth", "rwx", 0, auth_keys::commit_pending;
    "auth wipe-rotating-service-keys",
        "make the secrets of all services anew; clients ask for new tickets", "auth", "rwx", 0,
        auth_keys::wipe_service_keys;
    "auth caps name=entity,type=CephString name=caps,type=CephString,n=N",
        "replace an entity's capabilities", "auth", "rwx", 0, auth::caps;
    "auth rm name=entity,type=CephString",
        "remove an entity", "auth", "rwx", 0, auth::rm;
    "auth del name=entity,type=CephString",
        "remove an entity", "auth", "rwx", DEPRECATED, auth::rm;
    "config set name=who,type=CephString name=name,type=CephString name=value,type=CephString \
     name=force,type=CephBool,req=false",
        "set an option", "config", "rw", 0, config::set;
    "config rm name=who,type=CephString name=name,type=CephString",
        "remove an option", "config", "rw", 0, config::rm;
    "config get name=who,type=CephString name=key,type=CephString,req=false",
        "show options of an entity", "config", "r", 0, config::get;
    "config dump",
        "show all options that are set", "mon", "r", 0, config::dump;
    "config ls",
        "list the options that rbdgate heeds", "config", "r", 0, config::ls;
    "config generate-minimal-conf",
        "show a minimal ceph.conf", "config", "r", 0, config::minimal_conf;
    "config-key get name=key,type=CephString",
        "show a stored value", "config-key", "r", 0, config::key_get;
    "config-key set name=key,type=CephString name=val,type=CephString,req=false",
        "store a value", "config-key", "rw", 0, config::key_set;
    "config-key put name=key,type=CephString name=val,type=CephString,req=false",
        "store a value", "config-key", "rw", DEPRECATED, config::key_set;
    "config-key rm name=key,type=CephString",
        "remove a stored value", "config-key", "rw", 0, config::key_rm;
    "config-key del name=key,type=CephString",
        "remove a stored value", "config-key", "rw", DEPRECATED, config::key_rm;
    "config-key exists name=key,type=CephString",
        "tell whether a value is stored", "config-key", "r", 0, config::key_exists;
    "config-key ls",
        "list stored keys", "config-key", "r", 0, config::key_ls;
    "config-key list",
        "list stored keys", "config-key", "r", DEPRECATED, config::key_ls;
    "config-key dump name=key,type=CephString,req=false",
        "show stored keys and values", "config-key", "r", 0, config::key_dump;
}
