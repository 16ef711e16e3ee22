//! The closed label sets of metrics and log lines.
//!
//! A label is always one of these, never text from a request: that bounds the number of series and keeps
//! persons out of them. The names are the contract of dashboards and alerts (docs/operations.md).

/// A set of label values known at compile time.
macro_rules! label_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every member, in the order of its index.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The label's text.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// Position in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label_set! {
    /// What an answer means to the service as a whole; everything upstream is HTTP 200, so this, not the
    /// status, tells good from bad. `platform`, `transport` and `gateway` count against the objective.
    CodeClass {
        /// Success.
        Ok = "ok",
        /// "No data found", or the caller's data was refused, by the platform or by us.
        Data = "data",
        /// The platform refuses us, the hospital as a whole. It pages: that we refuse a client is `data`.
        Auth = "auth",
        /// A quota, the platform's or ours.
        Limit = "limit",
        /// The platform failed, and said so in its envelope.
        Platform = "platform",
        /// No answer that could be relayed came back.
        Transport = "transport",
        /// A defect or overload of the gateway itself.
        Gateway = "gateway",
    }
}

label_set! {
    /// Who made the answer; sent to the caller as `X-Aimis-Origin`.
    Origin {
        /// The imaging platform, just now.
        Platform = "platform",
        /// The imaging platform, earlier; kept by the gateway.
        Cache = "cache",
        /// The gateway: a refusal of its own.
        Gateway = "gateway",
    }
}

label_set! {
    /// Why a gateway went by itself in place of the store.
    StoreFallback {
        /// It is away.
        Away = "away",
        /// It did not answer in time.
        Timeout = "timeout",
        /// It answered with an error, or the connection failed.
        Failed = "failed",
    }
}

label_set! {
    /// Why the store does not answer, in a word of ours: what servers and drivers say may quote what they were sent.
    StoreFault {
        /// Not in time.
        Timeout = "timeout",
        /// No connection, or it ended.
        Connect = "connect",
        /// TLS: the certificate, or no TLS there.
        Tls = "tls",
        /// User or password.
        Auth = "auth",
        /// The user may not do what is needed.
        Permission = "permission",
        /// It has no memory left, and drops nothing (`maxmemory-policy noeviction`).
        OutOfMemory = "out_of_memory",
        /// It is a replica.
        ReadOnly = "read_only",
        /// It loads its data.
        Loading = "loading",
        /// It has not as many replicas as it must have to take anything (`min-replicas-to-write`).
        NoReplicas = "no_replicas",
        /// It could not write to its disk, and takes nothing until it can.
        DiskFailed = "disk_failed",
        /// A script, of somebody else, keeps it busy.
        Busy = "busy",
        /// It has lost its cluster, or its master.
        ClusterDown = "cluster_down",
        /// Nobody is the master.
        NotReady = "not_ready",
        /// It says something that was not expected.
        Reply = "reply",
    }
}

label_set! {
    /// What a HIS that fetches its events wants.
    PullOperation {
        /// Events.
        Fetch = "fetch",
        /// To say what became of them.
        Settle = "settle",
        /// A method that is neither.
        Other = "_other",
    }
}

label_set! {
    /// How one attempt to get an answer from the platform ended.
    AttemptResult {
        /// An envelope with code 0.
        Ok = "ok",
        /// An envelope with another code.
        Business = "business",
        /// The deadline passed.
        Timeout = "timeout",
        /// Name resolution or TCP failed.
        Connect = "connect",
        /// TLS failed.
        Tls = "tls",
        /// The connection ended before the answer was complete.
        Reset = "reset",
        /// What came was not HTTP, or had an error's status and no envelope.
        Http = "http",
        /// HTTP, but not an answer of the platform.
        Decode = "decode",
    }
}

label_set! {
    /// Why the platform was asked again.
    RetryReason {
        /// A connection from the pool turned out to be closed; outside the budget.
        StaleConnection = "stale_connection",
        /// No connection came about.
        Connect = "connect",
        /// The connection ended before the answer.
        Reset = "reset",
        /// Status 502, 503 or 504.
        Status = "status",
        /// A business code of class transient.
        Code = "code",
        /// Signature refused while the clocks differ: signed anew by the platform's clock.
        Resign = "resign",
    }
}

label_set! {
    /// State of a breaker.
    BreakerState {
        /// Questions pass.
        Closed = "closed",
        /// One question at a time tries whether it is over.
        HalfOpen = "half_open",
        /// No question passes.
        Open = "open",
    }
}

label_set! {
    /// Why a request was refused before it reached the platform.
    RejectReason {
        /// Not understood, or a field is missing or wrong.
        Malformed = "malformed",
        /// A character set the gateway does not know.
        Charset = "charset",
        /// Over the body limit.
        TooLarge = "too_large",
        /// Slower than the deadline, or cut.
        Slow = "slow",
        /// Who asks is not known.
        Unauthenticated = "unauthenticated",
        /// Not permitted to this client.
        Forbidden = "forbidden",
        /// Over a quota.
        RateLimited = "rate_limited",
        /// The gateway is full.
        Overloaded = "overloaded",
        /// The gateway is stopping.
        Draining = "draining",
    }
}

label_set! {
    /// What limits decided about a question.
    LimitDecision {
        /// It went to the platform at once.
        Allowed = "allowed",
        /// It went after a wait.
        Waited = "waited",
        /// Over its client's quota, before the cache.
        RefusedClient = "refused_client",
        /// Over its tenant's quota, and the wait would be too long.
        RefusedTenant = "refused_tenant",
        /// The platform said that the tenant asks too much.
        RefusedPlatform = "refused_platform",
        /// As many waited as may.
        Overloaded = "overloaded",
        /// Its deadline passed while it waited.
        Expired = "expired",
    }
}

label_set! {
    /// What a question waited for.
    WaitedFor {
        /// A client's quota; nobody waits for one, so this stays at 0.
        Client = "client",
        /// The tenant's quota.
        Tenant = "tenant",
        /// A place on the way to the platform.
        Platform = "platform",
    }
}

label_set! {
    /// What became of one part of a merged study list.
    MergedPart {
        /// Studies came.
        Ok = "ok",
        /// There are none.
        Empty = "empty",
        /// It could not be had.
        Failed = "failed",
    }
}

label_set! {
    /// What must be good before the gateway is ready.
    ReadyCheck {
        /// A configuration is loaded.
        Config = "config",
        /// Every tenant's token is loaded.
        Secrets = "secrets",
        /// Every listener is bound.
        Listener = "listener",
        /// The inbox keeps what it is given; good as well where there is none.
        Inbox = "inbox",
    }
}

label_set! {
    /// A listener that callers send to.
    ListenerName {
        /// The HIS.
        Lan = "lan",
        /// The platform's callbacks.
        Callback = "callback",
    }
}

label_set! {
    /// Why a TLS handshake of a caller failed.
    HandshakeFailure {
        /// Nothing newer than TLS 1.1 was offered.
        OldProtocol = "old-protocol",
        /// HTTP without TLS came.
        Plaintext = "plaintext",
        /// A client certificate is required, and none was shown.
        NoCertificate = "no-certificate",
        /// The client certificate is of no authority that is trusted here, or not good.
        BadCertificate = "bad-certificate",
        /// The client certificate is past its end.
        ExpiredCertificate = "expired-certificate",
        /// No cipher suite, group or kind of signature in common.
        NoSharedCipher = "no-shared-cipher",
        /// Not finished within `lan.handshake_timeout_ms`.
        Timeout = "timeout",
        /// The client broke off, does not trust our certificate, or speaks something else.
        Other = "other",
    }
}

label_set! {
    /// How the replacement of a certificate, or of the configuration with its files, went.
    ReloadResult {
        /// What comes from now on uses what is in the files.
        Ok = "ok",
        /// The files are of no use; what was is kept.
        Failed = "failed",
    }
}

label_set! {
    /// Why requests of a tenant are signed with another token than before.
    SwitchReason {
        /// Its file changed, and `rotation.canary` is off.
        File = "file",
        /// The platform answered a question about nobody under it.
        Canary = "canary",
        /// The platform refused the one before, and took this one for the same question.
        Refused = "refused",
    }
}

label_set! {
    /// Why a connection was closed as soon as it was accepted.
    RefusedConnection {
        /// `lan.max_connections` were open.
        Full = "full",
        /// `lan.max_connections_per_source` were open from its address.
        Source = "source",
    }
}

label_set! {
    /// How a question got its answer past the cache.
    CacheResult {
        /// From what was kept, still fresh.
        Hit = "hit",
        /// From what was kept, no longer fresh.
        Stale = "stale",
        /// The platform was asked.
        Miss = "miss",
        /// The platform was being asked the same already.
        Coalesced = "coalesced",
        /// The platform was asked, and nothing was looked up or kept.
        Bypass = "bypass",
    }
}

label_set! {
    /// What is wrong with something that replicas share.
    CacheFault {
        /// An answer that does not open where it was found: changed, or put under another question.
        Value = "value",
        /// A tenant's data key that does not open.
        Key = "key",
        /// A tenant's data key that was wrapped under another `store.key_file`.
        KeyFile = "key_file",
    }
}

label_set! {
    /// How replicas heard that answers are not true any more.
    Forgotten {
        /// Before a callback was acknowledged, or an operator told so.
        Done = "done",
        /// Not in time: the callback is not acknowledged.
        Owed = "owed",
        /// Afterwards, when the store was back.
        Late = "late",
    }
}

label_set! {
    /// What became of a callback.
    CallbackResult {
        /// New, durable, and on its way to the HIS.
        Accepted = "accepted",
        /// Known already, with the same body.
        Duplicate = "duplicate",
        /// Another body under a known identity: goes on its way as well.
        Updated = "updated",
        /// Did not prove where it comes from: signature, path, network, or a pair of our own.
        BadSignature = "bad_signature",
        /// Signed too long ago, or in the future.
        Stale = "stale",
        /// Not understood, too large, too slow, or not decrypted.
        Malformed = "malformed",
        /// Durable, and held back for an operator.
        Quarantined = "quarantined",
        /// The inbox could not keep it.
        StoreFailed = "store_failed",
    }
}

label_set! {
    /// Why an answer is no longer kept.
    Eviction {
        /// A newer answer to the same question came.
        Replaced = "replaced",
        /// It could not serve for anything any more.
        Expired = "expired",
        /// There was no room: `cache.max_bytes`.
        Size = "size",
        /// It was dropped on purpose: by an operator, a callback, or an answer that contradicts it.
        Purged = "purged",
    }
}

label_set! {
    /// Why a callback was refused; the platform is not told.
    CallbackRefusal {
        /// Method, path or tenant that there is not.
        Route = "route",
        /// More from one address than `callback.max_per_source_per_s`.
        Rate = "rate",
        /// Not from `callback.networks`.
        Network = "network",
        /// The last part of the path is not that of `callback.secret_file`.
        Secret = "secret",
        /// Headers of the signature are missing, doubled or not well formed.
        Headers = "headers",
        /// The appId is not the tenant's.
        AppId = "app_id",
        /// The signature was not made with the tenant's token.
        Signature = "signature",
        /// Signed longer ago than `callback.past_ms`.
        Stale = "stale",
        /// Signed further ahead than `callback.ahead_ms`.
        Ahead = "ahead",
        /// Signed by ourselves, for a request to the platform.
        Reflected = "reflected",
        /// Over `callback.max_body`.
        TooLarge = "too_large",
        /// Cut, or slower than `callback.body_timeout_ms`.
        Slow = "slow",
        /// Neither JSON nor a form, or with a key that is there twice.
        Body = "body",
        /// A field is missing or of the wrong type.
        Field = "field",
        /// Telephone or identity number cannot be decrypted, or is none.
        Cipher = "cipher",
    }
}

label_set! {
    /// What was done to a callback's body to understand it.
    CallbackRepair {
        /// It was not UTF-8.
        Charset = "charset",
        /// It was a form.
        Form = "form",
        /// A number came as a text.
        NumberAsText = "number-as-text",
        /// A text came as a number.
        TextAsNumber = "text-as-number",
    }
}

/// Label of the tenant when none was found; tenant names cannot start with an underscore.
pub const NO_TENANT: &str = "_none";
/// Label that the tenants beyond `telemetry.tenant_labels` share.
pub const OTHER_TENANT: &str = "_other";
/// Label of the API when the path names none.
pub const NO_API: &str = "_other";
/// Label of a business code that the platform does not document.
pub const OTHER_CODE: &str = "other";

label_set! {
    /// What became of an attempt to deliver an event.
    DeliveryResult {
        /// The HIS has it.
        Ok = "ok",
        /// It waits for the next attempt.
        Retry = "retry",
        /// It is a dead letter.
        Dead = "dead",
    }
}

label_set! {
    /// What became of a question that is asked in search of missed callbacks.
    PollResult {
        /// The platform answered with a list, or that there is none.
        Answered = "answered",
        /// There was no answer, or none of use.
        Failed = "failed",
        /// It was not asked: others need the quota.
        Held = "held",
    }
}

label_set! {
    /// How it stands with a target.
    TargetState {
        /// It takes events.
        Flowing = "flowing",
        /// It fails, and is tried with one event at a time.
        Suspended = "suspended",
        /// It wants no more, and gets none until an operator resumes it.
        Parked = "parked",
    }
}
