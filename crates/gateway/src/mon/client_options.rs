//! The types of the options that librbd has, so that a value which no client can read is refused where it is set
//! (Ceph `src/common/options/rbd.yaml.in` of Reef and Tentacle). Options of type string take any value.

/// Options that are true or false.
const BOOLEANS: &[&str] = &[
    "rbd_auto_exclusive_lock_until_manual_request",
    "rbd_balance_parent_reads",
    "rbd_balance_snap_reads",
    "rbd_blkin_trace_all",
    "rbd_blocklist_on_break_lock",
    "rbd_cache",
    "rbd_cache_block_writes_upfront",
    "rbd_cache_writethrough_until_flush",
    "rbd_clone_copy_on_read",
    "rbd_disable_zero_copy_writes",
    "rbd_discard_on_zeroed_write_same",
    "rbd_enable_alloc_hint",
    "rbd_invalidate_object_map_on_timeout",
    "rbd_journal_object_writethrough_until_flush",
    "rbd_localize_parent_reads",
    "rbd_localize_snap_reads",
    "rbd_mirroring_resync_after_disconnect",
    "rbd_move_parent_to_trash_on_remove",
    "rbd_move_to_trash_on_remove",
    "rbd_non_blocking_aio",
    "rbd_parent_cache_enabled",
    "rbd_skip_partial_discard",
    "rbd_tracing",
    "rbd_validate_names",
    "rbd_validate_pool",
];

/// Options that are whole numbers, sizes among them.
const NUMBERS: &[&str] = &[
    "rbd_atime_update_interval",
    "rbd_blocklist_expire_seconds",
    "rbd_cache_max_dirty",
    "rbd_cache_max_dirty_object",
    "rbd_cache_size",
    "rbd_cache_target_dirty",
    "rbd_concurrent_management_ops",
    "rbd_config_pool_override_update_timestamp",
    "rbd_default_format",
    "rbd_default_order",
    "rbd_default_stripe_count",
    "rbd_default_stripe_unit",
    "rbd_discard_granularity_bytes",
    "rbd_io_scheduler_simple_max_delay",
    "rbd_journal_max_concurrent_object_sets",
    "rbd_journal_max_payload_bytes",
    "rbd_journal_object_flush_bytes",
    "rbd_journal_object_flush_interval",
    "rbd_journal_object_max_in_flight_appends",
    "rbd_journal_order",
    "rbd_journal_splay_width",
    "rbd_mirroring_delete_delay",
    "rbd_mirroring_max_mirroring_snapshots",
    "rbd_mirroring_replay_delay",
    "rbd_move_to_trash_on_remove_expire_seconds",
    "rbd_mtime_update_interval",
    "rbd_op_thread_timeout",
    "rbd_op_threads",
    "rbd_persistent_cache_size",
    "rbd_qos_bps_burst",
    "rbd_qos_bps_burst_seconds",
    "rbd_qos_bps_limit",
    "rbd_qos_iops_burst",
    "rbd_qos_iops_burst_seconds",
    "rbd_qos_iops_limit",
    "rbd_qos_read_bps_burst",
    "rbd_qos_read_bps_burst_seconds",
    "rbd_qos_read_bps_limit",
    "rbd_qos_read_iops_burst",
    "rbd_qos_read_iops_burst_seconds",
    "rbd_qos_read_iops_limit",
    "rbd_qos_schedule_tick_min",
    "rbd_qos_write_bps_burst",
    "rbd_qos_write_bps_burst_seconds",
    "rbd_qos_write_bps_limit",
    "rbd_qos_write_iops_burst",
    "rbd_qos_write_iops_burst_seconds",
    "rbd_qos_write_iops_limit",
    "rbd_quiesce_notification_attempts",
    "rbd_readahead_disable_after_bytes",
    "rbd_readahead_max_bytes",
    "rbd_readahead_trigger_requests",
    "rbd_request_timed_out_seconds",
    "rbd_sparse_read_threshold_bytes",
];

/// Options that are numbers.
const FLOATS: &[&str] = &[
    "rbd_cache_max_dirty_age",
    "rbd_journal_commit_age",
    "rbd_journal_object_flush_age",
];

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

/// Options that take any text.
const TEXTS: &[&str] = &[
    "rbd_cache_policy",
    "rbd_compression_hint",
    "rbd_default_clone_format",
    "rbd_default_data_pool",
    "rbd_default_features",
    "rbd_default_map_options",
    "rbd_default_pool",
    "rbd_default_snapshot_quiesce_mode",
    "rbd_io_scheduler",
    "rbd_journal_pool",
    "rbd_persistent_cache_mode",
    "rbd_persistent_cache_path",
    "rbd_plugins",
    "rbd_qos_exclude_ops",
    "rbd_read_from_replica_policy",
];

/// Whether librbd has an option of that name.
#[must_use]
pub(super) fn is_known(name: &str) -> bool {
    [BOOLEANS, NUMBERS, FLOATS, TEXTS]
        .iter()
        .any(|list| list.contains(&name))
}

/// Why the option cannot have the value; none if it can, or if nothing is known of it.
#[must_use]
pub(super) fn refusal(name: &str, value: &str) -> Option<String> {
    let wanted = match name {
        _ if BOOLEANS.contains(&name) => (!is_boolean(value)).then_some("true or false"),
        _ if NUMBERS.contains(&name) => (!is_number(value)).then_some("a whole number"),
        _ if FLOATS.contains(&name) => value.parse::<f64>().is_err().then_some("a number"),
        _ => None,
    };
    wanted.map(|wanted| format!("error parsing value: '{value}' of {name} is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::refusal;

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
