//! Options of Ceph's monitors that rule authentication (`ceph config set mon NAME VALUE`).

use std::time::Duration;

use msgr::cephx::TicketTtl;

use super::Cluster;

/// How long the ticket lives that buys others, in seconds.
pub(super) const MON_TICKET_TTL: &str = "auth_mon_ticket_ttl";
/// How long tickets for services live, in seconds.
pub(super) const SERVICE_TICKET_TTL: &str = "auth_service_ticket_ttl";
/// Whether clients from before the fix of CVE-2021-20288 may keep their global id without a ticket.
pub(super) const INSECURE_RECLAIM: &str = "auth_allow_insecure_global_id_reclaim";
/// Whether keys of type aes may be made.
pub const INSECURE_KEYS: &str = "mon_auth_allow_insecure_key";

/// The options and their defaults here. Ceph's are the same but for that of reclaiming, which Ceph allows, with a
/// health warning, until it is forbidden.
pub(super) const AUTH_OPTIONS: [(&str, &str); 4] = [
    (MON_TICKET_TTL, "259200"),
    (SERVICE_TICKET_TTL, "3600"),
    (INSECURE_RECLAIM, "false"),
    (INSECURE_KEYS, "true"),
];

/// Shorter lives than this would end before a client can renew its ticket.
const MIN_TTL: f64 = 10.0;
/// A year: longer lives are as good as none.
const MAX_TTL: f64 = 365.0 * 86_400.0;

/// Options that rule authentication.
impl Cluster {
    /// How long tickets live, by options.
    pub(super) fn ttl_options(&self) -> TicketTtl {
        let default = TicketTtl::default();
        let seconds = |name, default| {
            let value = self.option_text(name).parse::<f64>().ok();
            let value = value.filter(|v| v.is_finite() && *v > 0.0);
            value.map_or(default, |v| Duration::from_secs_f64(v.clamp(MIN_TTL, MAX_TTL)))
        };
        TicketTtl {
            mon: seconds(MON_TICKET_TTL, default.mon),
            service: seconds(SERVICE_TICKET_TTL, default.service),
        }
    }
}
