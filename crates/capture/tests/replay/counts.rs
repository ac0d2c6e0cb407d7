//! What another reader of the same files, written independently (Python), counts: the
//! connections that got as far as two banners, and messages by type and direction.

/// File, connections, (message type, to the server, to the client).
pub(crate) type Count = (&'static str, usize, &'static [(u16, usize, usize)]);

pub(crate) const COUNTS: &[Count] = &[
    (
        "pacific/pacific-crc",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 797, 0),  // MOSDOp
            (43, 0, 795),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "pacific/pacific-secure",
        39,
        &[
            (4, 0, 40),    // MMonMap
            (5, 20, 0),    // MMonGetMap
            (15, 42, 0),   // MMonSubscribe
            (41, 0, 12),   // MOSDMap
            (42, 364, 0),  // MOSDOp
            (43, 0, 363),  // MOSDOpReply
            (44, 0, 52),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 2, 0),    // MMonCommand
            (51, 0, 2),    // MMonCommandAck
            (62, 0, 20),   // MConfig
            (1796, 0, 10), // MMgrMap
        ],
    ),
    (
        "pacific/pacific-none",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 798, 0),  // MOSDOp
            (43, 0, 793),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "pacific/pacific-v1",
        125,
        &[
            (4, 0, 132),   // MMonMap
            (15, 131, 0),  // MMonSubscribe
            (17, 163, 0),  // MAuth
            (18, 0, 163),  // MAuthReply
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 798, 0),  // MOSDOp
            (43, 0, 797),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "pacific/krbd5.10-legacy",
        3,
        &[
            (4, 0, 2),   // MMonMap
            (15, 2, 0),  // MMonSubscribe
            (17, 5, 0),  // MAuth
            (18, 0, 5),  // MAuthReply
            (41, 0, 1),  // MOSDMap
            (42, 37, 0), // MOSDOp
            (43, 0, 37), // MOSDOpReply
            (44, 0, 4),  // MWatchNotify
        ],
    ),
    (
        "pacific/krbd6.1-crc",
        3,
        &[
            (4, 0, 1),   // MMonMap
            (15, 1, 0),  // MMonSubscribe
            (41, 0, 1),  // MOSDMap
            (42, 37, 0), // MOSDOp
            (43, 0, 37), // MOSDOpReply
            (44, 0, 4),  // MWatchNotify
        ],
    ),
    (
        "pacific/krbd6.1-secure",
        2,
        &[
            (4, 0, 1),   // MMonMap
            (15, 1, 0),  // MMonSubscribe
            (41, 0, 1),  // MOSDMap
            (42, 35, 0), // MOSDOp
            (43, 0, 35), // MOSDOpReply
            (44, 0, 2),  // MWatchNotify
        ],
    ),
    (
        "pacific/krbd6.1-v1none",
        2,
        &[
            (4, 0, 2),   // MMonMap
            (15, 1, 0),  // MMonSubscribe
            (17, 1, 0),  // MAuth
            (18, 0, 1),  // MAuthReply
            (41, 0, 1),  // MOSDMap
            (42, 35, 0), // MOSDOp
            (43, 0, 35), // MOSDOpReply
            (44, 0, 2),  // MWatchNotify
        ],
    ),
    (
        "pacific/krbd7.2-crc",
        2,
        &[
            (4, 0, 1),   // MMonMap
            (15, 1, 0),  // MMonSubscribe
            (41, 0, 1),  // MOSDMap
            (42, 37, 0), // MOSDOp
            (43, 0, 37), // MOSDOpReply
            (44, 0, 4),  // MWatchNotify
        ],
    ),
    (
        "nautilus/nautilus-crc",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 769, 0),  // MOSDOp
            (43, 0, 766),  // MOSDOpReply
            (44, 0, 92),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "reef/reef-crc",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 801, 0),  // MOSDOp
            (43, 0, 801),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "tentacle/tentacle-crc",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 802, 0),  // MOSDOp
            (43, 0, 802),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "tentacle/tentacle-crc-aes256k",
        126,
        &[
            (4, 0, 132),   // MMonMap
            (5, 66, 0),    // MMonGetMap
            (15, 131, 0),  // MMonSubscribe
            (19, 2, 0),    // MMonGetVersion
            (20, 0, 2),    // MMonGetVersionReply
            (41, 0, 34),   // MOSDMap
            (42, 802, 0),  // MOSDOp
            (43, 0, 801),  // MOSDOpReply
            (44, 0, 96),   // MWatchNotify
            (48, 0, 2),    // MPoolOpReply
            (49, 2, 0),    // MPoolOp
            (50, 5, 0),    // MMonCommand
            (51, 0, 5),    // MMonCommandAck
            (62, 0, 66),   // MConfig
            (1796, 0, 31), // MMgrMap
        ],
    ),
    (
        "tentacle/krbd7.2-secure-aes256k",
        2,
        &[
            (4, 0, 1),   // MMonMap
            (15, 1, 0),  // MMonSubscribe
            (41, 0, 1),  // MOSDMap
            (42, 37, 0), // MOSDOp
            (43, 0, 37), // MOSDOpReply
            (44, 0, 4),  // MWatchNotify
        ],
    ),
];
