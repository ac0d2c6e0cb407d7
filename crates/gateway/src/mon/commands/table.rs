//! The table of all commands. Rows that share words stand in the order in which clients try them.

use super::{
    Context, auth, auth_dump, auth_keys, cluster, config, config_history, crash, crush, crush_rules, df,
    erasure, health, mgr, modules, mon, osd, osd_df, osd_dump, osd_tree, pg, pool, pool_vars, rbd_support,
    report, scrub, status, tier,
};
use crate::mon::command_table::{Command, DEPRECATED, MGR, TELL};

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
        "show the cluster's health", "mon", "r", 0, health::health;
    "health mute name=code,type=CephString name=ttl,type=CephString,req=false name=sticky,type=CephBool,req=false",
        "do not tell of a health check, for a time or until it passes or becomes worse", "mon", "w", 0, health::mute;
    "health unmute name=code,type=CephString,req=false",
        "tell of a muted health check again, or of all", "mon", "w", 0, health::unmute;
    "df name=detail,type=CephChoices,strings=detail,req=false",
        "show used and free space", "mon", "r", 0, df::df;
    "report name=tags,type=CephString,n=N,req=false",
        "show all that is known of the cluster", "mon", "r", 0, report::report;
    "node ls name=type,type=CephChoices,strings=all|osd|mon|mds|mgr,req=false",
        "list hosts and their daemons", "mon", "r", 0, cluster::node_ls;
    "quorum_status",
        "show the monitors' quorum", "mon", "r", 0, mon::quorum_status;
    "mon_status",
        "show the monitor's status", "mon", "r", TELL, mon::mon_status;
    "sessions",
        "list the clients that are connected to the monitor", "mon", "r", TELL, mon::sessions;
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
    "mon count-metadata name=property,type=CephString",
        "count monitors by a fact about them", "mon", "r", 0, mon::count_metadata;
    "mon feature ls name=with_value,type=CephChoices,strings=--with-value,req=false",
        "list monitor features", "mon", "r", 0, mon::feature_ls;
    "heap \
     name=heapcmd,type=CephChoices,strings=dump|start_profiler|stop_profiler|release|get_release_rate|set_release_rate|stats \
     name=value,type=CephString,req=false",
        "show heap usage", "mon", "rw", TELL, cluster::heap;
    "compact",
        "make a checkpoint of the metadata and of what is in the journal", "mon", "rw", TELL, cluster::compact;
    "smart name=devid,type=CephString,req=false",
        "show what the monitor's disk tells of itself: it has none of its own", "mon", "rw", TELL, cluster::smart;
    "mgr dump name=epoch,type=CephInt,range=0,req=false",
        "show the manager map", "mgr", "r", 0, mgr::dump;
    "mgr stat",
        "show the manager in short", "mgr", "r", 0, mgr::stat;
    "mgr services",
        "list what manager modules serve", "mgr", "r", 0, mgr::services;
    "mgr module ls",
        "list manager modules", "mgr", "r", 0, mgr::module_ls;
    "mgr module enable name=module,type=CephString name=force,type=CephChoices,strings=--force,req=false",
        "switch a manager module on", "mgr", "rw", 0, modules::enable;
    "mgr module disable name=module,type=CephString",
        "switch a manager module off", "mgr", "rw", 0, modules::disable;
    "mgr versions",
        "show the versions of managers", "mgr", "r", 0, mgr::versions;
    "mgr count-metadata name=property,type=CephString",
        "count managers by a fact about them", "mgr", "r", 0, mgr::count_metadata;
    "mgr fail name=who,type=CephString,req=false",
        "let another manager take over", "mgr", "rw", 0, mgr::fail;
    "mgr metadata name=who,type=CephString,req=false",
        "show facts about managers", "mgr", "r", 0, mgr::metadata;
    "balancer status",
        "show the balancer's status", "mgr", "r", 0, modules::balancer_status;
    "balancer mode name=mode,type=CephChoices,strings=none|crush-compat|upmap",
        "set the balancer's mode", "mgr", "rw", 0, modules::balancer_set;
    "balancer on",
        "switch the balancer on", "mgr", "rw", 0, modules::balancer_set;
    "balancer off",
        "switch the balancer off", "mgr", "rw", 0, modules::balancer_set;
    "balancer eval name=option,type=CephString,req=false",
        "rate the distribution of data", "mgr", "r", 0, modules::balancer_eval;
    "balancer ls",
        "list plans", "mgr", "r", 0, modules::balancer_ls;
    "crash ls",
        "list crashes", "mgr", "r", 0, crash::ls;
    "crash ls-new",
        "list new crashes", "mgr", "r", 0, crash::ls_new;
    "crash stat",
        "count crashes", "mgr", "r", 0, crash::stat;
    "crash info name=id,type=CephString",
        "show a crash", "mgr", "r", 0, crash::info;
    "crash post",
        "add a report of a crash", "mgr", "rw", 0, crash::post;
    "crash rm name=id,type=CephString",
        "remove a crash", "mgr", "rw", 0, crash::rm;
    "crash archive name=id,type=CephString",
        "take a crash for known", "mgr", "rw", 0, crash::archive;
    "crash archive-all",
        "take all crashes for known", "mgr", "rw", 0, crash::archive_all;
    "crash prune name=keep,type=CephInt",
        "remove crashes older than that many days", "mgr", "rw", 0, crash::prune;
    "crash json_report name=hours,type=CephInt",
        "count crashes of the last hours", "mgr", "r", 0, crash::json_report;
    "device ls",
        "list devices", "mgr", "r", 0, modules::device_ls;
    "device ls-by-daemon name=who,type=CephString",
        "list the devices of a daemon", "mgr", "r", 0, modules::device_ls_by_daemon;
    "device ls-by-host name=host,type=CephString",
        "list the devices of a host", "mgr", "r", 0, modules::device_ls_by_host;
    "device info name=devid,type=CephString",
        "show a device", "mgr", "r", 0, modules::device_info;
    "rbd mirror snapshot schedule add name=level_spec,type=CephString name=interval,type=CephString \
     name=start_time,type=CephString,req=false",
        "add times when mirror snapshots are made", "mgr", "w", MGR, rbd_support::mirror_snapshot_add;
    "rbd mirror snapshot schedule remove name=level_spec,type=CephString name=interval,type=CephString,req=false \
     name=start_time,type=CephString,req=false",
        "remove times when mirror snapshots are made", "mgr", "w", MGR, rbd_support::mirror_snapshot_remove;
    "rbd mirror snapshot schedule list name=level_spec,type=CephString,req=false",
        "list when mirror snapshots are made", "mgr", "r", MGR, rbd_support::mirror_snapshot_list;
    "rbd mirror snapshot schedule status name=level_spec,type=CephString,req=false",
        "show when mirror snapshots are made next", "mgr", "r", MGR, rbd_support::mirror_snapshot_status;
    "rbd perf image stats name=pool_spec,type=CephString,req=false \
     name=sort_by,type=CephChoices,strings=write_ops|write_bytes|write_latency|read_ops|read_bytes|read_latency,req=false",
        "show how busy images are", "mgr", "r", MGR, rbd_support::perf_image_stats;
    "rbd perf image counters name=pool_spec,type=CephString,req=false \
     name=sort_by,type=CephChoices,strings=write_ops|write_bytes|write_latency|read_ops|read_bytes|read_latency,req=false",
        "show what was done to images", "mgr", "r", MGR, rbd_support::perf_image_counters;
    "rbd trash purge schedule add name=level_spec,type=CephString name=interval,type=CephString \
     name=start_time,type=CephString,req=false",
        "add times when the trash is emptied", "mgr", "w", MGR, rbd_support::trash_purge_add;
    "rbd trash purge schedule remove name=level_spec,type=CephString name=interval,type=CephString,req=false \
     name=start_time,type=CephString,req=false",
        "remove times when the trash is emptied", "mgr", "w", MGR, rbd_support::trash_purge_remove;
    "rbd trash purge schedule list name=level_spec,type=CephString,req=false",
        "list when the trash is emptied", "mgr", "r", MGR, rbd_support::trash_purge_list;
    "rbd trash purge schedule status name=level_spec,type=CephString,req=false",
        "show when the trash is emptied next", "mgr", "r", MGR, rbd_support::trash_purge_status;
    "rbd task add flatten name=image_spec,type=CephString",
        "flatten a cloned image in the background", "mgr", "w", MGR, rbd_support::task_add_flatten;
    "rbd task add remove name=image_spec,type=CephString",
        "remove an image in the background", "mgr", "w", MGR, rbd_support::task_add_remove;
    "rbd task add trash remove name=image_id_spec,type=CephString",
        "remove an image from the trash in the background", "mgr", "w", MGR, rbd_support::task_add_trash_remove;
    "rbd task add migration execute name=image_spec,type=CephString",
        "copy an image that is being migrated in the background", "mgr", "w", MGR, rbd_support::task_add_migration_execute;
    "rbd task add migration commit name=image_spec,type=CephString",
        "end a migration in the background", "mgr", "w", MGR, rbd_support::task_add_migration_commit;
    "rbd task add migration abort name=image_spec,type=CephString",
        "undo a migration in the background", "mgr", "w", MGR, rbd_support::task_add_migration_abort;
    "rbd task cancel name=task_id,type=CephString",
        "cancel a task", "mgr", "w", MGR, rbd_support::task_cancel;
    "rbd task list name=task_id,type=CephString,req=false",
        "list tasks", "mgr", "r", MGR, rbd_support::task_list;
    "progress",
        "show what is in progress", "mgr", "r", 0, modules::progress;
    "progress json",
        "show what is and was in progress", "mgr", "r", 0, modules::progress_json;
    "progress clear",
        "forget what was in progress", "mgr", "rw", 0, modules::progress_clear;
    "progress on",
        "keep track of progress", "mgr", "rw", 0, modules::progress_on;
    "telemetry status",
        "show whether reports are sent", "mgr", "r", 0, modules::telemetry_status;
    "telemetry on name=license,type=CephString,req=false",
        "send reports", "mgr", "rw", 0, modules::telemetry_on;
    "telemetry off",
        "send no reports", "mgr", "rw", 0, modules::telemetry_off;
    "orch status name=detail,type=CephBool,req=false",
        "ask who manages daemons", "mgr", "r", 0, modules::orch;
    "orch ls name=service_type,type=CephString,req=false name=service_name,type=CephString,req=false",
        "ask who manages daemons", "mgr", "r", 0, modules::orch;
    "orch ps name=hostname,type=CephString,req=false",
        "ask who manages daemons", "mgr", "r", 0, modules::orch;
    "orch host ls",
        "ask who manages daemons", "mgr", "r", 0, modules::orch;
    "orch device ls name=hostname,type=CephString,n=N,req=false",
        "ask who manages daemons", "mgr", "r", 0, modules::orch;
    "iostat name=period,type=CephInt,req=false",
        "show the rate of I/O as it changes", "mgr", "r", 0, modules::not_loaded;
    "service dump",
        "show the service map", "service", "r", 0, mgr::service_dump;
    "service status",
        "show what service daemons say of their state", "service", "r", 0, mgr::service_status;
    "config show name=who,type=CephString name=key,type=CephString,req=false",
        "show the options set for a daemon", "mgr", "r", 0, config::show;
    "config show-with-defaults name=who,type=CephString",
        "show all options of a daemon", "mgr", "r", 0, config::show_with_defaults;
    "fs status name=fs,type=CephString,req=false",
        "show the state of file systems", "mgr", "r", 0, modules::fs_status;
    "mds stat",
        "show the metadata servers", "mds", "r", 0, cluster::mds_stat;
    "fs ls",
        "list filesystems", "fs", "r", 0, cluster::fs_ls;
    "fs dump name=epoch,type=CephInt,range=0,req=false",
        "show the map of filesystems", "fs", "r", 0, cluster::fs_dump;
    "fs get name=fs_name,type=CephString",
        "show a filesystem", "fs", "r", 0, cluster::fs_get;
    "pg stat",
        "show placement groups in a line", "pg", "r", 0, status::pg_stat;
    "pg dump name=dumpcontents,type=CephChoices,strings=all|summary|sum|delta|pools|osds|pgs|pgs_brief,n=N,req=false",
        "show placement groups", "pg", "r", 0, pg::dump;
    "pg dump_json name=dumpcontents,type=CephChoices,strings=all|summary|sum|pools|osds|pgs,n=N,req=false",
        "show placement groups in JSON", "pg", "r", 0, pg::dump_json;
    "pg dump_pools_json",
        "show the statistics of pools in JSON", "pg", "r", 0, pg::dump_pools_json;
    "pg dump_stuck name=stuckops,type=CephChoices,strings=inactive|unclean|stale|undersized|degraded,n=N,req=false name=threshold,type=CephInt,req=false",
        "show placement groups that are stuck", "pg", "r", 0, pg::dump_stuck;
    "pg ls name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false",
        "list placement groups", "pg", "r", 0, pg::ls;
    "pg ls-by-pool name=poolstr,type=CephString name=states,type=CephString,n=N,req=false",
        "list the placement groups of a pool", "pg", "r", 0, pg::ls_by_pool;
    "pg ls-by-primary name=osd,type=CephOsdName name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false",
        "list placement groups by their primary OSD", "pg", "r", 0, pg::ls_by_osd;
    "pg ls-by-osd name=osd,type=CephOsdName name=pool,type=CephInt,req=false name=states,type=CephString,n=N,req=false",
        "list placement groups by OSD", "pg", "r", 0, pg::ls_by_osd;
    "pg scrub name=pgid,type=CephPgid",
        "read what is recorded of a placement group's objects", "pg", "rw", 0, scrub::of_group;
    "pg deep-scrub name=pgid,type=CephPgid",
        "read a placement group's objects", "pg", "rw", 0, scrub::of_group;
    "pg repair name=pgid,type=CephPgid",
        "read a placement group's objects; there is one copy and so nothing to repair from", "pg", "rw", 0, scrub::of_group;
    "pg map name=pgid,type=CephPgid",
        "show where a placement group is", "pg", "r", 0, pg::map;
    "pg debug name=debugop,type=CephChoices,strings=unfound_objects_exist|degraded_pgs_exist",
        "ask a question about all placement groups", "pg", "r", 0, pg::debug;
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
        "show used and free space by OSD", "osd", "r", 0, osd_df::osd_df;
    "osd find name=id,type=CephOsdName",
        "show where an OSD is", "osd", "r", 0, osd_tree::find;
    "osd metadata name=id,type=CephOsdName,req=false",
        "show facts about OSDs", "osd", "r", 0, osd::metadata;
    "osd versions",
        "show the versions of OSDs", "osd", "r", 0, osd::versions;
    "osd count-metadata name=property,type=CephString",
        "count OSDs by a fact about them", "osd", "r", 0, osd::count_metadata;
    "osd info name=id,type=CephOsdName,req=false",
        "show the OSDs as the map has them", "osd", "r", 0, crush::osd_info;
    "osd numa-status",
        "show which NUMA nodes OSDs are bound to", "osd", "r", 0, crush::numa_status;
    "osd ok-to-stop name=ids,type=CephString,n=N",
        "tell whether OSDs may be stopped", "osd", "r", 0, crush::ok_to_stop;
    "osd safe-to-destroy name=ids,type=CephString,n=N",
        "tell whether OSDs may be removed", "osd", "r", 0, crush::safe_to_destroy;
    "osd blocked-by",
        "show which OSDs others wait for", "osd", "r", 0, crush::blocked_by;
    "osd status name=bucket,type=CephString,req=false",
        "show OSDs, their space and load", "osd", "r", 0, df::osd_status;
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
    "osd pause",
        "stop all I/O", "osd", "rw", 0, osd::pause;
    "osd unpause",
        "let I/O go on", "osd", "rw", 0, osd::unpause;
    "osd set-full-ratio name=ratio,type=CephFloat,range=0.0|1.0",
        "set the ratio at which the cluster counts as full", "osd", "rw", 0, osd::set_ratio;
    "osd set-backfillfull-ratio name=ratio,type=CephFloat,range=0.0|1.0",
        "set the ratio at which the cluster counts as backfillfull", "osd", "rw", 0, osd::set_ratio;
    "osd set-nearfull-ratio name=ratio,type=CephFloat,range=0.0|1.0",
        "set the ratio at which the cluster counts as nearfull", "osd", "rw", 0, osd::set_ratio;
    "osd require-osd-release name=release,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
        "set the oldest release of OSDs", "osd", "rw", 0, osd::require_release;
    "osd crush rule ls",
        "list CRUSH rules", "osd", "r", 0, osd_tree::rule_ls;
    "osd crush rule list",
        "list CRUSH rules", "osd", "r", DEPRECATED, osd_tree::rule_ls;
    "osd crush rule dump name=name,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "show CRUSH rules", "osd", "r", 0, osd_tree::rule_dump;
    "osd crush show-tunables",
        "show CRUSH tunables", "osd", "r", 0, osd_tree::tunables;
    "osd crush dump",
        "show the CRUSH map", "osd", "r", 0, crush::dump;
    "osd crush tree name=shadow,type=CephChoices,strings=--show-shadow,req=false",
        "show the CRUSH tree", "osd", "r", 0, osd_tree::crush_tree;
    "osd crush class ls",
        "list device classes", "osd", "r", 0, crush::class_ls;
    "osd crush class ls-osd name=class,type=CephString",
        "list the OSDs of a device class", "osd", "r", 0, crush::class_ls_osd;
    "osd crush get-device-class name=ids,type=CephString,n=N",
        "show the device classes of OSDs", "osd", "r", 0, crush::get_device_class;
    "osd crush get-tunable name=tunable,type=CephChoices,strings=straw_calc_version",
        "show a CRUSH tunable", "osd", "r", 0, crush::get_tunable;
    "osd crush ls name=node,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "list what is below a node of the CRUSH tree", "osd", "r", 0, crush::ls;
    "osd crush rule ls-by-class name=class,type=CephString",
        "list the CRUSH rules of a device class", "osd", "r", 0, crush::rule_ls_by_class;
    "osd crush weight-set ls",
        "list CRUSH weight sets", "osd", "r", 0, crush::weight_set_ls;
    "osd erasure-code-profile ls",
        "list erasure code profiles", "osd", "r", 0, erasure::profile_ls;
    "osd erasure-code-profile get name=name,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "show an erasure code profile", "osd", "r", 0, erasure::profile_get;
    "osd erasure-code-profile set name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=profile,type=CephString,n=N,req=false name=force,type=CephBool,req=false \
     name=yes_i_really_mean_it,type=CephBool,req=false",
        "make an erasure code profile, or change one that is there", "osd", "rw", 0, erasure::profile_set;
    "osd erasure-code-profile rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "remove an erasure code profile", "osd", "rw", 0, erasure::profile_rm;
    "osd crush rule create-erasure name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=profile,type=CephString,req=false,goodchars=[A-Za-z0-9-_.=]",
        "make a CRUSH rule for erasure-coded pools", "osd", "rw", 0, crush_rules::create_erasure;
    "osd crush rule create-replicated name=name,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=root,type=CephString,goodchars=[A-Za-z0-9-_.] name=type,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=class,type=CephString,goodchars=[A-Za-z0-9-_.],req=false",
        "make a CRUSH rule for replicated pools", "osd", "rw", 0, crush_rules::create_replicated;
    "osd crush rule rename name=srcname,type=CephString,goodchars=[A-Za-z0-9-_.] \
     name=dstname,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "rename a CRUSH rule", "osd", "rw", 0, crush_rules::rename;
    "osd crush rule rm name=name,type=CephString,goodchars=[A-Za-z0-9-_.]",
        "remove a CRUSH rule", "osd", "rw", 0, crush_rules::remove;
    "osd tier add name=pool,type=CephPoolname name=tierpool,type=CephPoolname \
     name=force_nonempty,type=CephBool,req=false",
        "make a pool a tier of another", "osd", "rw", 0, tier::add;
    "osd tier rm name=pool,type=CephPoolname name=tierpool,type=CephPoolname",
        "make a pool no tier of another", "osd", "rw", 0, tier::remove;
    "osd tier remove name=pool,type=CephPoolname name=tierpool,type=CephPoolname",
        "make a pool no tier of another", "osd", "rw", DEPRECATED, tier::remove;
    "osd tier cache-mode name=pool,type=CephPoolname \
     name=mode,type=CephChoices,strings=writeback|proxy|readproxy|readonly|none \
     name=yes_i_really_mean_it,type=CephBool,req=false",
        "set the cache mode of a tier", "osd", "rw", 0, tier::cache_mode;
    "osd tier set-overlay name=pool,type=CephPoolname name=overlaypool,type=CephPoolname",
        "put a tier before its pool; refused", "osd", "rw", 0, tier::set_overlay;
    "osd tier rm-overlay name=pool,type=CephPoolname",
        "put no tier before a pool", "osd", "rw", 0, tier::remove_overlay;
    "osd tier remove-overlay name=pool,type=CephPoolname",
        "put no tier before a pool", "osd", "rw", DEPRECATED, tier::remove_overlay;
    "osd tier add-cache name=pool,type=CephPoolname name=tierpool,type=CephPoolname name=size,type=CephInt,range=0",
        "put a tier with the usual settings before a pool; refused", "osd", "rw", 0, tier::add_cache;
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
    "osd scrub name=who,type=CephString",
        "read what is recorded of all objects", "osd", "rw", MGR, scrub::of_osds;
    "osd deep-scrub name=who,type=CephString",
        "read all objects", "osd", "rw", MGR, scrub::of_osds;
    "osd repair name=who,type=CephString",
        "read all objects; there is one copy and so nothing to repair from", "osd", "rw", MGR, scrub::of_osds;
    "osd pool scrub name=who,type=CephPoolname,n=N",
        "read what is recorded of the objects of pools", "osd", "rw", MGR, scrub::of_pools;
    "osd pool deep-scrub name=who,type=CephPoolname,n=N",
        "read the objects of pools", "osd", "rw", MGR, scrub::of_pools;
    "osd pool repair name=who,type=CephPoolname,n=N",
        "read the objects of pools; there is one copy and so nothing to repair from", "osd", "rw", MGR, scrub::of_pools;
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
     name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|use_gmt_hitset|fast_read|pg_autoscale_mode|bulk|erasure_code_profile|allow_ec_overwrites|all",
        "show a variable of a pool", "osd", "r", 0, pool_vars::get;
    "osd pool set name=pool,type=CephPoolname \
     name=var,type=CephChoices,strings=size|min_size|pg_num|pgp_num|crush_rule|hashpspool|nodelete|nopgchange|nosizechange|write_fadvise_dontneed|noscrub|nodeep-scrub|use_gmt_hitset|fast_read|pg_autoscale_mode|bulk|allow_ec_overwrites \
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
    "auth dump-keys",
        "show which keys there are, of which types; the keys themselves are not told", "auth", "rwx", 0,
        auth_dump::dump_keys;
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
    "config help name=key,type=CephString",
        "describe an option", "config", "r", 0, config::help;
    "config log name=num,type=CephInt,req=false",
        "show the last changes of options", "config", "r", 0, config_history::log;
    "config reset name=num,type=CephInt",
        "take back all changes of options after the one of that number", "config", "rw", 0, config_history::reset;
    "config assimilate-conf",
        "take options from a ceph.conf, and show what is left of it", "config", "rw", 0, config_history::assimilate;
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
