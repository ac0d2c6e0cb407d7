//! All classes and methods: the one list that dispatch and documentation come from.
//!
//! Names and flags are those that Ceph registers (`CLS_INIT` in each `src/cls/*/cls_*.cc`, Tentacle).

use crate::{Method, MethodFlags, hello, journal, lock, numops, rbd, version};

macro_rules! methods {
    ($($function:path, $class:literal $name:literal $($flag:ident)|+;)*) => {
        &[$(Method {
            class: $class,
            name: $name,
            flags: MethodFlags(0)$(.or(MethodFlags::$flag))+,
            run: $function,
        },)*]
    };
}

static TABLE: &[Method] = methods! {
    lock::lock, "lock" "lock" RD | WR | PROMOTE;
    lock::unlock, "lock" "unlock" RD | WR | PROMOTE;
    lock::break_lock, "lock" "break_lock" RD | WR;
    lock::get_info, "lock" "get_info" RD;
    lock::list_locks, "lock" "list_locks" RD;
    lock::assert_locked, "lock" "assert_locked" RD | PROMOTE;
    lock::set_cookie, "lock" "set_cookie" RD | WR | PROMOTE;
    rbd::header::create, "rbd" "create" RD | WR;
    rbd::header::get_features, "rbd" "get_features" RD;
    rbd::header::set_features, "rbd" "set_features" RD | WR;
    rbd::header::get_size, "rbd" "get_size" RD;
    rbd::header::set_size, "rbd" "set_size" RD | WR;
    rbd::header::get_snapcontext, "rbd" "get_snapcontext" RD;
    rbd::header::get_object_prefix, "rbd" "get_object_prefix" RD;
    rbd::header::get_data_pool, "rbd" "get_data_pool" RD;
    rbd::snapshot::get_snapshot_name, "rbd" "get_snapshot_name" RD;
    rbd::snapshot::get_snapshot_timestamp, "rbd" "get_snapshot_timestamp" RD;
    rbd::snapshot::snapshot_get, "rbd" "snapshot_get" RD;
    rbd::snapshot::snapshot_add, "rbd" "snapshot_add" RD | WR;
    rbd::snapshot::snapshot_remove, "rbd" "snapshot_remove" RD | WR;
    rbd::snapshot::snapshot_rename, "rbd" "snapshot_rename" RD | WR;
    rbd::snapshot::snapshot_trash_add, "rbd" "snapshot_trash_add" RD | WR;
    rbd::header::get_all_features, "rbd" "get_all_features" RD;
    rbd::parent::get_parent, "rbd" "get_parent" RD;
    rbd::parent::set_parent, "rbd" "set_parent" RD | WR;
    rbd::parent::remove_parent, "rbd" "remove_parent" RD | WR;
    rbd::parent::parent_get, "rbd" "parent_get" RD;
    rbd::parent::parent_overlap_get, "rbd" "parent_overlap_get" RD;
    rbd::parent::parent_attach, "rbd" "parent_attach" RD | WR;
    rbd::parent::parent_detach, "rbd" "parent_detach" RD | WR;
    rbd::snapshot::set_protection_status, "rbd" "set_protection_status" RD | WR;
    rbd::snapshot::get_protection_status, "rbd" "get_protection_status" RD;
    rbd::header::get_stripe_unit_count, "rbd" "get_stripe_unit_count" RD;
    rbd::header::set_stripe_unit_count, "rbd" "set_stripe_unit_count" RD | WR;
    rbd::header::get_create_timestamp, "rbd" "get_create_timestamp" RD;
    rbd::header::get_access_timestamp, "rbd" "get_access_timestamp" RD;
    rbd::header::get_modify_timestamp, "rbd" "get_modify_timestamp" RD;
    rbd::header::get_flags, "rbd" "get_flags" RD;
    rbd::header::set_flags, "rbd" "set_flags" RD | WR;
    rbd::header::op_features_get, "rbd" "op_features_get" RD;
    rbd::header::op_features_set, "rbd" "op_features_set" RD | WR;
    rbd::metadata::metadata_list, "rbd" "metadata_list" RD;
    rbd::metadata::metadata_set, "rbd" "metadata_set" RD | WR;
    rbd::metadata::metadata_remove, "rbd" "metadata_remove" RD | WR;
    rbd::metadata::metadata_get, "rbd" "metadata_get" RD;
    rbd::snapshot::snapshot_get_limit, "rbd" "snapshot_get_limit" RD;
    rbd::snapshot::snapshot_set_limit, "rbd" "snapshot_set_limit" RD | WR;
    rbd::children::child_attach, "rbd" "child_attach" RD | WR;
    rbd::children::child_detach, "rbd" "child_detach" RD | WR;
    rbd::children::children_list, "rbd" "children_list" RD;
    rbd::migration::migration_set, "rbd" "migration_set" RD | WR;
    rbd::migration::migration_set_state, "rbd" "migration_set_state" RD | WR;
    rbd::migration::migration_get, "rbd" "migration_get" RD;
    rbd::migration::migration_remove, "rbd" "migration_remove" RD | WR;
    rbd::header::set_modify_timestamp, "rbd" "set_modify_timestamp" RD | WR;
    rbd::header::set_access_timestamp, "rbd" "set_access_timestamp" RD | WR;
    rbd::children::add_child, "rbd" "add_child" RD | WR;
    rbd::children::remove_child, "rbd" "remove_child" RD | WR;
    rbd::children::get_children, "rbd" "get_children" RD;
    rbd::header::get_id, "rbd" "get_id" RD;
    rbd::header::set_id, "rbd" "set_id" RD | WR;
    rbd::directory::dir_get_id, "rbd" "dir_get_id" RD;
    rbd::directory::dir_get_name, "rbd" "dir_get_name" RD;
    rbd::directory::dir_list, "rbd" "dir_list" RD;
    rbd::directory::dir_add_image, "rbd" "dir_add_image" RD | WR;
    rbd::directory::dir_remove_image, "rbd" "dir_remove_image" RD | WR;
    rbd::directory::dir_rename_image, "rbd" "dir_rename_image" RD | WR;
    rbd::directory::dir_state_assert, "rbd" "dir_state_assert" RD;
    rbd::directory::dir_state_set, "rbd" "dir_state_set" RD | WR;
    rbd::object_map::object_map_load, "rbd" "object_map_load" RD;
    rbd::object_map::object_map_save, "rbd" "object_map_save" RD | WR;
    rbd::object_map::object_map_resize, "rbd" "object_map_resize" RD | WR;
    rbd::object_map::object_map_update, "rbd" "object_map_update" RD | WR;
    rbd::object_map::object_map_snap_add, "rbd" "object_map_snap_add" RD | WR;
    rbd::object_map::object_map_snap_remove, "rbd" "object_map_snap_remove" RD | WR;
    rbd::header_old::snap_list, "rbd" "snap_list" RD;
    rbd::header_old::snap_add, "rbd" "snap_add" RD | WR;
    rbd::header_old::snap_remove, "rbd" "snap_remove" RD | WR;
    rbd::header_old::snap_rename, "rbd" "snap_rename" RD | WR;
    rbd::mirror::mirror_uuid_get, "rbd" "mirror_uuid_get" RD;
    rbd::mirror::mirror_uuid_set, "rbd" "mirror_uuid_set" RD | WR;
    rbd::mirror::mirror_mode_get, "rbd" "mirror_mode_get" RD;
    rbd::mirror::mirror_mode_set, "rbd" "mirror_mode_set" RD | WR;
    rbd::mirror::mirror_remote_namespace_get, "rbd" "mirror_remote_namespace_get" RD;
    rbd::mirror::mirror_remote_namespace_set, "rbd" "mirror_remote_namespace_set" RD | WR;
    rbd::mirror_peer::mirror_peer_ping, "rbd" "mirror_peer_ping" RD | WR;
    rbd::mirror_peer::mirror_peer_list, "rbd" "mirror_peer_list" RD;
    rbd::mirror_peer::mirror_peer_add, "rbd" "mirror_peer_add" RD | WR;
    rbd::mirror_peer::mirror_peer_remove, "rbd" "mirror_peer_remove" RD | WR;
    rbd::mirror_peer::mirror_peer_set_client, "rbd" "mirror_peer_set_client" RD | WR;
    rbd::mirror_peer::mirror_peer_set_cluster, "rbd" "mirror_peer_set_cluster" RD | WR;
    rbd::mirror_peer::mirror_peer_set_direction, "rbd" "mirror_peer_set_direction" RD | WR;
    rbd::mirror_image::mirror_image_list, "rbd" "mirror_image_list" RD;
    rbd::mirror_image::mirror_image_get_image_id, "rbd" "mirror_image_get_image_id" RD;
    rbd::mirror_image::mirror_image_get, "rbd" "mirror_image_get" RD;
    rbd::mirror_image::mirror_image_set, "rbd" "mirror_image_set" RD | WR;
    rbd::mirror_image::mirror_image_remove, "rbd" "mirror_image_remove" RD | WR;
    rbd::mirror_status::mirror_image_status_set, "rbd" "mirror_image_status_set" RD | WR | PROMOTE;
    rbd::mirror_status::mirror_image_status_remove, "rbd" "mirror_image_status_remove" RD | WR;
    rbd::mirror_status::mirror_image_status_get, "rbd" "mirror_image_status_get" RD;
    rbd::mirror_status::mirror_image_status_list, "rbd" "mirror_image_status_list" RD;
    rbd::mirror_status::mirror_image_status_get_summary, "rbd" "mirror_image_status_get_summary" RD;
    rbd::mirror_status::mirror_image_status_remove_down, "rbd" "mirror_image_status_remove_down" RD | WR;
    rbd::mirror_status::mirror_image_instance_get, "rbd" "mirror_image_instance_get" RD;
    rbd::mirror_status::mirror_image_instance_list, "rbd" "mirror_image_instance_list" RD;
    rbd::mirror_image::mirror_instances_list, "rbd" "mirror_instances_list" RD;
    rbd::mirror_image::mirror_instances_add, "rbd" "mirror_instances_add" RD | WR | PROMOTE;
    rbd::mirror_image::mirror_instances_remove, "rbd" "mirror_instances_remove" RD | WR;
    rbd::mirror_image::mirror_image_map_list, "rbd" "mirror_image_map_list" RD;
    rbd::mirror_image::mirror_image_map_update, "rbd" "mirror_image_map_update" WR;
    rbd::mirror_image::mirror_image_map_remove, "rbd" "mirror_image_map_remove" WR;
    rbd::mirror_image::mirror_image_snapshot_unlink_peer, "rbd" "mirror_image_snapshot_unlink_peer" RD | WR;
    rbd::mirror_image::mirror_image_snapshot_set_copy_progress, "rbd" "mirror_image_snapshot_set_copy_progress" RD | WR;
    rbd::group::group_dir_list, "rbd" "group_dir_list" RD;
    rbd::group::group_dir_add, "rbd" "group_dir_add" RD | WR;
    rbd::group::group_dir_remove, "rbd" "group_dir_remove" RD | WR;
    rbd::group::group_dir_rename, "rbd" "group_dir_rename" RD | WR;
    rbd::group::group_image_remove, "rbd" "group_image_remove" RD | WR;
    rbd::group::group_image_list, "rbd" "group_image_list" RD;
    rbd::group::group_image_set, "rbd" "group_image_set" RD | WR;
    rbd::group::image_group_add, "rbd" "image_group_add" RD | WR;
    rbd::group::image_group_remove, "rbd" "image_group_remove" RD | WR;
    rbd::group::image_group_get, "rbd" "image_group_get" RD;
    rbd::group_snapshot::group_snap_set, "rbd" "group_snap_set" RD | WR;
    rbd::group_snapshot::group_snap_remove, "rbd" "group_snap_remove" RD | WR;
    rbd::group_snapshot::group_snap_get_by_id, "rbd" "group_snap_get_by_id" RD;
    rbd::group_snapshot::group_snap_list, "rbd" "group_snap_list" RD;
    rbd::group_snapshot::group_snap_list_order, "rbd" "group_snap_list_order" RD;
    rbd::trash::trash_add, "rbd" "trash_add" RD | WR;
    rbd::trash::trash_remove, "rbd" "trash_remove" RD | WR;
    rbd::trash::trash_list, "rbd" "trash_list" RD;
    rbd::trash::trash_get, "rbd" "trash_get" RD;
    rbd::trash::trash_state_set, "rbd" "trash_state_set" RD | WR;
    rbd::namespace::namespace_add, "rbd" "namespace_add" RD | WR;
    rbd::namespace::namespace_remove, "rbd" "namespace_remove" RD | WR;
    rbd::namespace::namespace_list, "rbd" "namespace_list" RD;
    rbd::data::copyup, "rbd" "copyup" RD | WR;
    rbd::data::sparse_copyup, "rbd" "sparse_copyup" RD | WR;
    rbd::data::assert_snapc_seq, "rbd" "assert_snapc_seq" RD | WR;
    rbd::data::sparsify, "rbd" "sparsify" RD | WR;
    journal::create, "journal" "create" RD | WR;
    journal::get_order, "journal" "get_order" RD;
    journal::get_splay_width, "journal" "get_splay_width" RD;
    journal::get_pool_id, "journal" "get_pool_id" RD;
    journal::get_minimum_set, "journal" "get_minimum_set" RD;
    journal::set_minimum_set, "journal" "set_minimum_set" RD | WR;
    journal::get_active_set, "journal" "get_active_set" RD;
    journal::set_active_set, "journal" "set_active_set" RD | WR;
    journal::get_client, "journal" "get_client" RD;
    journal::client_register, "journal" "client_register" RD | WR;
    journal::client_update_data, "journal" "client_update_data" RD | WR;
    journal::client_update_state, "journal" "client_update_state" RD | WR;
    journal::client_unregister, "journal" "client_unregister" RD | WR;
    journal::client_commit, "journal" "client_commit" RD | WR;
    journal::client_list, "journal" "client_list" RD;
    journal::get_next_tag_tid, "journal" "get_next_tag_tid" RD;
    journal::get_tag, "journal" "get_tag" RD;
    journal::tag_create, "journal" "tag_create" RD | WR;
    journal::tag_list, "journal" "tag_list" RD;
    journal::guard_append, "journal" "guard_append" RD | WR;
    journal::append, "journal" "append" RD | WR;
    version::set, "version" "set" RD | WR;
    version::inc, "version" "inc" RD | WR;
    version::inc, "version" "inc_conds" RD | WR;
    version::read_version, "version" "read" RD;
    version::check_conds, "version" "check_conds" RD;
    numops::add, "numops" "add" RD | WR;
    numops::mul, "numops" "mul" RD | WR;
    hello::say_hello, "hello" "say_hello" RD;
    hello::record_hello, "hello" "record_hello" WR | PROMOTE;
    hello::replay, "hello" "replay" RD;
    hello::turn_it_to_11, "hello" "turn_it_to_11" RD | WR | PROMOTE;
};

/// Every method of every class.
#[must_use]
pub fn table() -> &'static [Method] {
    TABLE
}
