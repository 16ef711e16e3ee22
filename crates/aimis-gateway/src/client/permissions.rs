//! What a client may ask for: one rule a key of the configuration, each naming itself when it refuses.

use aimis_core::contract::{DATA_FLAG, HOSPITAL_ID, STUDY_TYPE, UNION_ID, USAGE};
use aimis_core::order::Order;

/// A rule that refused. Its name is the key of `[[clients]]` that has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Which hospital's account is used.
    Tenants,
    /// Which API.
    Apis,
    /// Which hospital is asked about.
    HospitalIds,
    /// Which union is asked about.
    UnionIds,
    /// For which purpose.
    Usage,
    /// Whose data.
    DataFlag,
    /// Which kind of study.
    StudyType,
    /// How wide a time window.
    MaxRangeDays,
    /// Whether events may be fetched.
    Inbox,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 9] = [
        Self::Tenants,
        Self::Apis,
        Self::HospitalIds,
        Self::UnionIds,
        Self::Usage,
        Self::DataFlag,
        Self::StudyType,
        Self::MaxRangeDays,
        Self::Inbox,
    ];

    /// The key of `[[clients]]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Apis => "apis",
            Self::HospitalIds => "hospital_ids",
            Self::UnionIds => "union_ids",
            Self::Usage => "usage",
            Self::DataFlag => "data_flag",
            Self::StudyType => "study_type",
            Self::MaxRangeDays => "max_range_days",
            Self::Inbox => "inbox",
        }
    }

    /// The field of the request that the rule is about, if it is about one.
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::Tenants | Self::Apis | Self::Inbox => None,
            Self::HospitalIds => Some(HOSPITAL_ID),
            Self::UnionIds => Some(UNION_ID),
            Self::Usage => Some(USAGE),
            Self::DataFlag => Some(DATA_FLAG),
            Self::StudyType => Some(STUDY_TYPE),
            Self::MaxRangeDays => Some(aimis_core::contract::STUDY_DATE_BEGIN),
        }
    }
}

/// Values of `hospitalId` or `unionId` that a client may ask for.
#[derive(Clone, Debug)]
pub enum Ids {
    /// Any.
    Any,
    /// Those that the configuration fills in: the client's and the tenant's.
    Own,
    /// These.
    Only(Vec<String>),
}

impl Ids {
    fn permit(&self, asked: Option<&str>, own: [Option<&str>; 2]) -> bool {
        match (self, asked) {
            (Self::Any, _) | (_, None) => true,
            (Self::Own, Some(id)) => own.contains(&Some(id)),
            (Self::Only(ids), Some(id)) => ids.iter().any(|known| known == id),
        }
    }
}

/// What the configuration fills in for a client and a tenant: the client's first.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Values of `hospitalId`.
    pub hospitals: [Option<&'a str>; 2],
    /// Values of `unionId`.
    pub unions: [Option<&'a str>; 2],
}

/// What a client may ask for. `None` allows everything.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// Tenants, by position.
    pub tenants: Option<Vec<usize>>,
    /// Values of `hospitalId`.
    pub hospital_ids: Ids,
    /// Values of `unionId`.
    pub union_ids: Ids,
    /// APIs, by position.
    pub apis: Option<Vec<usize>>,
    /// Values of `usage`.
    pub usage: Option<Vec<i64>>,
    /// Values of `dataFlag`.
    pub data_flag: Option<Vec<i64>>,
    /// Values of `studyType`.
    pub study_type: Option<Vec<i64>>,
    /// Days of a time window.
    pub max_range_days: Option<u32>,
    /// Events of its tenants may be fetched.
    pub inbox: bool,
}

impl Permissions {
    /// Everything, for the programs of this machine where no clients are configured.
    pub fn everything() -> Self {
        Self {
            tenants: None,
            hospital_ids: Ids::Any,
            union_ids: Ids::Any,
            apis: None,
            usage: None,
            data_flag: None,
            study_type: None,
            max_range_days: None,
            inbox: true,
        }
    }

    /// Whether the API at position `api` may be used.
    ///
    /// # Errors
    /// [`Rule::Apis`].
    pub fn api(&self, api: usize) -> Result<(), Rule> {
        permit(&self.apis, Some(&api), Rule::Apis)
    }

    /// Whether the tenant at position `tenant` may be asked for.
    ///
    /// # Errors
    /// [`Rule::Tenants`].
    pub fn tenant(&self, tenant: usize) -> Result<(), Rule> {
        permit(&self.tenants, Some(&tenant), Rule::Tenants)
    }

    /// Whether events may be fetched.
    ///
    /// # Errors
    /// [`Rule::Inbox`].
    pub fn inbox(&self) -> Result<(), Rule> {
        if self.inbox { Ok(()) } else { Err(Rule::Inbox) }
    }

    /// The one tenant that the client may ask for, if it is one.
    pub fn only_tenant(&self) -> Option<usize> {
        match self.tenants.as_deref() {
            Some([only]) => Some(*only),
            _ => None,
        }
    }

    /// Whether an order may be asked.
    ///
    /// A field that the API does not have, or that is optional and absent, breaks no rule.
    ///
    /// # Errors
    /// The first [`Rule`] that forbids it.
    pub fn order(&self, order: &Order, own: Own<'_>) -> Result<(), Rule> {
        if !self.hospital_ids.permit(order.text(HOSPITAL_ID), own.hospitals) {
            return Err(Rule::HospitalIds);
        }
        // A union that nobody configured cannot be compared with; a hospital always is.
        let any_union = matches!(self.union_ids, Ids::Own) && own.unions == [None, None];
        if !any_union && !self.union_ids.permit(order.text(UNION_ID), own.unions) {
            return Err(Rule::UnionIds);
        }
        permit(&self.usage, order.integer(USAGE).as_ref(), Rule::Usage)?;
        permit(&self.data_flag, order.integer(DATA_FLAG).as_ref(), Rule::DataFlag)?;
        permit(&self.study_type, order.integer(STUDY_TYPE).as_ref(), Rule::StudyType)?;
        self.range(order)
    }

    fn range(&self, order: &Order) -> Result<(), Rule> {
        let Some(most) = self.max_range_days else { return Ok(()) };
        let contract = order.contract();
        for window in contract.windows() {
            let date = |at: usize| order.date_time(&contract.fields()[at].name);
            // The window was checked when the order was made; one without an end has no bound to judge.
            let wide = match (date(window.begin), date(window.end)) {
                (Some(begin), Some(end)) => begin.days_until(end) > i64::from(most),
                _ => true,
            };
            if wide {
                return Err(Rule::MaxRangeDays);
            }
        }
        Ok(())
    }
}

fn permit<T: PartialEq>(allowed: &Option<Vec<T>>, asked: Option<&T>, rule: Rule) -> Result<(), Rule> {
    match (allowed, asked) {
        (Some(allowed), Some(asked)) if !allowed.contains(asked) => Err(rule),
        _ => Ok(()),
    }
}
