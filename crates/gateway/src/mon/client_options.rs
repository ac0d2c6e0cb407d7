//! The options that librbd has, with types and defaults: a value which no client can read is refused where it is set
//! (Ceph `src/common/options/rbd.yaml.in` of Reef and Tentacle). Options of type string take any value.

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// True or false.
    Bool,
    /// A whole number, sizes among them.
    Number,
    /// A number.
    Float,
    /// Any text.
    Text,
}
use Kind::{Bool, Float, Number, Text};

/// Name, kind, and what holds in a client where nothing is set. In the order of the names.
#[rustfmt::skip]
const OPTIONS: &[(&str, Kind, &str)] = &[
    ("rbd_atime_update_interval", Number, "60"),
    ("rbd_auto_exclusive_lock_until_manual_request", Bool, "true"),
    ("rbd_balance_parent_reads", Bool, "false"),
    ("rbd_balance_snap_reads", Bool, "false"),
    ("rbd_blkin_trace_all", Bool, "false"),
    ("rbd_blocklist_expire_seconds", Number, "0"),
    ("rbd_blocklist_on_break_lock", Bool, "true"),
    ("rbd_cache", Bool, "true"),
    ("rbd_cache_block_writes_upfront", Bool, "false"),
    ("rbd_cache_max_dirty", Number, "25165824"),
    ("rbd_cache_max_dirty_age", Float, "1.000000"),
    ("rbd_cache_max_dirty_object", Number, "0"),
    ("rbd_cache_policy", Text, "writearound"),
    ("rbd_cache_size", Number, "33554432"),
    ("rbd_cache_target_dirty", Number, "16777216"),
    ("rbd_cache_writethrough_until_flush", Bool, "true"),
    ("rbd_clone_copy_on_read", Bool, "false"),
    ("rbd_compression_hint", Text, "none"),
    ("rbd_concurrent_management_ops", Number, "10"),
    ("rbd_config_pool_override_update_timestamp", Number, "0"),
    ("rbd_default_clone_format", Text, "auto"),
    ("rbd_default_data_pool", Text, ""),
    ("rbd_default_features", Text, "layering,exclusive-lock,object-map,fast-diff,deep-flatten"),
    ("rbd_default_format", Number, "2"),
    ("rbd_default_map_options", Text, ""),
    ("rbd_default_order", Number, "22"),
    ("rbd_default_pool", Text, "rbd"),
    ("rbd_default_snapshot_quiesce_mode", Text, "required"),
    ("rbd_default_stripe_count", Number, "0"),
    ("rbd_default_stripe_unit", Number, "0"),
    ("rbd_disable_zero_copy_writes", Bool, "true"),
    ("rbd_discard_granularity_bytes", Number, "65536"),
    ("rbd_discard_on_zeroed_write_same", Bool, "true"),
    ("rbd_enable_alloc_hint", Bool, "true"),
    ("rbd_invalidate_object_map_on_timeout", Bool, "true"),
    ("rbd_io_scheduler", Text, "simple"),
    ("rbd_io_scheduler_simple_max_delay", Number, "0"),
    ("rbd_journal_commit_age", Float, "5.000000"),
    ("rbd_journal_max_concurrent_object_sets", Number, "0"),
    ("rbd_journal_max_payload_bytes", Number, "16384"),
    ("rbd_journal_object_flush_age", Float, "0.000000"),
    ("rbd_journal_object_flush_bytes", Number, "1048576"),
    ("rbd_journal_object_flush_interval", Number, "0"),
    ("rbd_journal_object_max_in_flight_appends", Number, "0"),
    ("rbd_journal_object_writethrough_until_flush", Bool, "true"),
    ("rbd_journal_order", Number, "24"),
    ("rbd_journal_pool", Text, ""),
    ("rbd_journal_splay_width", Number, "4"),
    ("rbd_localize_parent_reads", Bool, "false"),
    ("rbd_localize_snap_reads", Bool, "false"),
    ("rbd_mirroring_delete_delay", Number, "0"),
    ("rbd_mirroring_max_mirroring_snapshots", Number, "5"),
    ("rbd_mirroring_replay_delay", Number, "0"),
    ("rbd_mirroring_resync_after_disconnect", Bool, "false"),
    ("rbd_move_parent_to_trash_on_remove", Bool, "false"),
    ("rbd_move_to_trash_on_remove", Bool, "false"),
    ("rbd_move_to_trash_on_remove_expire_seconds", Number, "0"),
    ("rbd_mtime_update_interval", Number, "60"),
    ("rbd_non_blocking_aio", Bool, "true"),
    ("rbd_op_thread_timeout", Number, "60"),
    ("rbd_op_threads", Number, "1"),
    ("rbd_parent_cache_enabled", Bool, "false"),
    ("rbd_persistent_cache_mode", Text, "disabled"),
    ("rbd_persistent_cache_path", Text, "/tmp"),
    ("rbd_persistent_cache_size", Number, "1073741824"),
    ("rbd_plugins", Text, ""),
    ("rbd_qos_bps_burst", Number, "0"),
    ("rbd_qos_bps_burst_seconds", Number, "1"),
    ("rbd_qos_bps_limit", Number, "0"),
    ("rbd_qos_exclude_ops", Text, ""),
    ("rbd_qos_iops_burst", Number, "0"),
    ("rbd_qos_iops_burst_seconds", Number, "1"),
    ("rbd_qos_iops_limit", Number, "0"),
    ("rbd_qos_read_bps_burst", Number, "0"),
    ("rbd_qos_read_bps_burst_seconds", Number, "1"),
    ("rbd_qos_read_bps_limit", Number, "0"),
    ("rbd_qos_read_iops_burst", Number, "0"),
    ("rbd_qos_read_iops_burst_seconds", Number, "1"),
    ("rbd_qos_read_iops_limit", Number, "0"),
    ("rbd_qos_schedule_tick_min", Number, "50"),
    ("rbd_qos_write_bps_burst", Number, "0"),
    ("rbd_qos_write_bps_burst_seconds", Number, "1"),
    ("rbd_qos_write_bps_limit", Number, "0"),
    ("rbd_qos_write_iops_burst", Number, "0"),
    ("rbd_qos_write_iops_burst_seconds", Number, "1"),
    ("rbd_qos_write_iops_limit", Number, "0"),
    ("rbd_quiesce_notification_attempts", Number, "10"),
    ("rbd_read_from_replica_policy", Text, "default"),
    ("rbd_readahead_disable_after_bytes", Number, "52428800"),
    ("rbd_readahead_max_bytes", Number, "524288"),
    ("rbd_readahead_trigger_requests", Number, "10"),
    ("rbd_request_timed_out_seconds", Number, "30"),
    ("rbd_skip_partial_discard", Bool, "true"),
    ("rbd_sparse_read_threshold_bytes", Number, "65536"),
    ("rbd_tracing", Bool, "false"),
    ("rbd_validate_names", Bool, "true"),
    ("rbd_validate_pool", Bool, "true"),
];

fn find(name: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    let at = OPTIONS.binary_search_by_key(&name, |o| o.0).ok()?;
    OPTIONS.get(at)
}

/// What holds in a client where the option is not set; none if librbd has no option of that name.
#[must_use]
pub(super) fn default_of(name: &str) -> Option<&'static str> {
    find(name).map(|o| o.2)
}

/// A whole number, perhaps with the letter of a decimal or binary prefix.
fn is_number(value: &str) -> bool {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &value[digits.len()..];
    let prefix = unit.strip_suffix('i').unwrap_or(unit);
    digits.parse::<u64>().is_ok() && matches!(prefix, "" | "B" | "K" | "M" | "G" | "T" | "P" | "E")
}

fn is_boolean(value: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word)) || value.parse::<i64>().is_ok()
}

/// Whether librbd has an option of that name.
#[must_use]
pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// Why the option cannot have the value; none if it can, or if nothing is known of it.
#[must_use]
pub(super) fn refusal(name: &str, value: &str) -> Option<String> {
    let wanted = match find(name)?.1 {
        Bool => (!is_boolean(value)).then_some("true or false"),
        Number => (!is_number(value)).then_some("a whole number"),
        Float => value.parse::<f64>().is_err().then_some("a number"),
        Text => None,
    };
    wanted.map(|wanted| format!("error parsing value: '{value}' of {name} is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::{OPTIONS, default_of, refusal};

    #[test]
    fn defaults_are_found_and_are_values_of_their_options() {
        assert!(OPTIONS.is_sorted_by_key(|o| o.0));
        assert_eq!(default_of("rbd_cache_size"), Some("33554432"));
        assert_eq!(default_of("rbd_nothing"), None);
        for (name, _, default) in OPTIONS {
            assert_eq!(refusal(name, default), None, "{name}");
        }
    }

    #[test]
    fn values_must_be_of_the_options_type() {
        for (name, value) in [
            ("rbd_cache", "INVALID"),
            ("rbd_cache_size", "many"),
            ("rbd_cache_size", "-1"),
            ("rbd_default_order", "4X"),
        ] {
            assert!(refusal(name, value).is_some(), "{name} {value}");
        }
        for (name, value) in [
            ("rbd_cache", "FALSE"),
            ("rbd_cache", "1"),
            ("rbd_cache_size", "32M"),
            ("rbd_cache_size", "4Ki"),
            ("rbd_default_order", "22"),
            ("rbd_default_features", "layering,striping"),
            ("debug_ms", "10/10"),
        ] {
            assert_eq!(refusal(name, value), None, "{name} {value}");
        }
    }
}
