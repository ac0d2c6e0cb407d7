//! `rbd task ...`, `rbd perf image ...`, `rbd trash purge schedule ...`, `rbd mirror snapshot schedule ...`: commands of the manager's module `rbd_support`.

use rustix::io::Errno;

use super::{CommandResult, Context};
use crate::{
    mon::reply::{CommandError, Reply},
    rbd_support::{
        Handlers,
        caller::Caller,
        failure::Failure,
        perf::{COUNTERS, Figures},
        queueing,
    },
};

/// Runs a command of the module, which reads or changes something.
fn run<T>(
    ctx: &Context<'_>,
    write: bool,
    doing: impl FnOnce(&Handlers, Caller<'_>) -> Result<T, Failure>,
) -> Result<T, CommandError> {
    let caller = Caller {
        caps: &ctx.asker.caps,
        peer: ctx.asker.peer,
        read: !write,
        write,
    };
    let module = ctx
        .mon
        .rbd_support()
        .ok_or_else(|| CommandError::new(Errno::AGAIN, "there is no module rbd_support"))?;
    module
        .command(|handlers| doing(handlers, caller))
        .map_err(|failure| CommandError::new(Errno::from_raw_os_error(failure.errno.0), failure.text))
}

/// What adds a task.
type Queue = fn(&crate::rbd_support::Tasks, Caller<'_>, &str) -> Result<String, Failure>;

fn add(ctx: &Context<'_>, spec: &str, queue: Queue) -> CommandResult {
    let spec = ctx.args.need(spec)?;
    run(ctx, true, |handlers, caller| queue(&handlers.tasks, caller, spec)).map(Reply::data)
}

/// `rbd task add flatten IMAGE`.
pub(super) fn task_add_flatten(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_spec", queueing::flatten)
}

/// `rbd task add remove IMAGE`.
pub(super) fn task_add_remove(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_spec", queueing::remove)
}

/// `rbd task add trash remove IMAGE-ID`.
pub(super) fn task_add_trash_remove(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_id_spec", queueing::trash_remove)
}

/// `rbd task add migration execute IMAGE`.
pub(super) fn task_add_migration_execute(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_spec", queueing::migration_execute)
}

/// `rbd task add migration commit IMAGE`.
pub(super) fn task_add_migration_commit(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_spec", queueing::migration_commit)
}

/// `rbd task add migration abort IMAGE`.
pub(super) fn task_add_migration_abort(ctx: &Context<'_>) -> CommandResult {
    add(ctx, "image_spec", queueing::migration_abort)
}

/// `rbd task cancel TASK-ID`.
pub(super) fn task_cancel(ctx: &Context<'_>) -> CommandResult {
    let id = ctx.args.need("task_id")?;
    run(ctx, true, |handlers, caller| handlers.tasks.cancel(caller, id))?;
    Ok(Reply::default())
}

/// `rbd task list [TASK-ID]`.
pub(super) fn task_list(ctx: &Context<'_>) -> CommandResult {
    let id = ctx.args.str("task_id");
    run(ctx, false, |handlers, caller| handlers.tasks.list(caller, id)).map(Reply::data)
}

fn perf(ctx: &Context<'_>, figures: Figures) -> CommandResult {
    let sort_by = match ctx.args.str("sort_by") {
        None => 0,
        Some(name) => COUNTERS
            .iter()
            .position(|c| *c == name)
            .ok_or_else(|| CommandError::new(Errno::INVAL, format!("'{name}' is not a valid ImageSortBy")))?,
    };
    let pool = ctx.args.str("pool_spec");
    run(ctx, false, |h, caller| {
        h.perf.report(caller, figures, pool, sort_by)
    })
    .map(Reply::data)
}

/// `rbd perf image stats [POOL[/NAMESPACE]] [SORT-BY]`.
pub(super) fn perf_image_stats(ctx: &Context<'_>) -> CommandResult {
    perf(ctx, Figures::Stats)
}

/// `rbd perf image counters [POOL[/NAMESPACE]] [SORT-BY]`.
pub(super) fn perf_image_counters(ctx: &Context<'_>) -> CommandResult {
    perf(ctx, Figures::Counters)
}

macro_rules! schedule_commands {
    ($field:ident, $name:literal, $add:ident, $remove:ident, $list:ident, $status:ident) => {
        #[doc = concat!("`", $name, " add [LEVEL] INTERVAL [START-TIME]`.")]
        pub(super) fn $add(ctx: &Context<'_>) -> CommandResult {
            let level = ctx.args.str("level_spec").unwrap_or_default();
            let interval = ctx.args.need("interval")?;
            let start = ctx.args.str("start_time");
            run(ctx, true, |h, _| h.$field.add(level, interval, start))?;
            Ok(Reply::default())
        }

        #[doc = concat!("`", $name, " remove [LEVEL] [INTERVAL [START-TIME]]`.")]
        pub(super) fn $remove(ctx: &Context<'_>) -> CommandResult {
            let level = ctx.args.str("level_spec").unwrap_or_default();
            let (interval, start) = (ctx.args.str("interval"), ctx.args.str("start_time"));
            run(ctx, true, |h, _| h.$field.remove(level, interval, start))?;
            Ok(Reply::default())
        }

        #[doc = concat!("`", $name, " list [LEVEL]`.")]
        pub(super) fn $list(ctx: &Context<'_>) -> CommandResult {
            let level = ctx.args.str("level_spec").unwrap_or_default();
            run(ctx, false, |h, _| h.$field.list(level)).map(Reply::data)
        }

        #[doc = concat!("`", $name, " status [LEVEL]`.")]
        pub(super) fn $status(ctx: &Context<'_>) -> CommandResult {
            let level = ctx.args.str("level_spec").unwrap_or_default();
            run(ctx, false, |h, _| h.$field.status(level)).map(Reply::data)
        }
    };
}

schedule_commands!(
    trash_purge,
    "rbd trash purge schedule",
    trash_purge_add,
    trash_purge_remove,
    trash_purge_list,
    trash_purge_status
);
schedule_commands!(
    mirror_snapshots,
    "rbd mirror snapshot schedule",
    mirror_snapshot_add,
    mirror_snapshot_remove,
    mirror_snapshot_list,
    mirror_snapshot_status
);
