//! The table of section 7. One line a code: class, meaning in English and Chinese; behind it what departs from the
//! rule of its class.

use std::time::Duration;

use super::{Class, Rule};

/// The rule for a code that nobody documented.
pub(super) const UNKNOWN: Rule = rule(Class::Unknown, "unknown code", "未知代码");

/// What follows from a class alone.
pub(super) const fn rule(class: Class, meaning_en: &'static str, meaning_zh: &'static str) -> Rule {
    let remedy_en = match class {
        Class::Success => "none needed",
        Class::NoData => "none needed, unless the patient is known to have studies: then check idNum and phoneNum",
        Class::Caller => "correct the fields of the query",
        Class::Configuration => "compare the tenant's configuration with what the platform assigned",
        Class::Auth => "check token, appId and clock",
        Class::Permission => "ask the platform for the right",
        Class::Limit => "query less often, or ask the platform for a higher limit",
        Class::Transient => "wait; if the rate rises, report it to the platform with appId, requestId and time",
        Class::Unexpected => "not expected of this API: report it to the platform with appId, requestId and time",
        Class::Unknown => "ask the platform what it means, then override its class in the configuration",
    };
    let retry = matches!(class, Class::Transient);
    let alert = matches!(class, Class::Auth | Class::Configuration);
    Rule {
        class,
        retry,
        resign: false,
        negative_ttl_cap: None,
        brake: false,
        alert,
        meaning_en,
        meaning_zh,
        remedy_en,
    }
}

impl Rule {
    const fn remedy(self, remedy_en: &'static str) -> Self {
        Self { remedy_en, ..self }
    }

    const fn alert(self) -> Self {
        Self { alert: true, ..self }
    }

    const fn brake(self) -> Self {
        Self { brake: true, ..self }
    }

    /// Measured anew, signed anew, repeated once.
    const fn resign(self) -> Self {
        Self {
            retry: true,
            resign: true,
            ..self
        }
    }

    const fn at_most_s(self, seconds: u64) -> Self {
        Self {
            negative_ttl_cap: Some(Duration::from_secs(seconds)),
            ..self
        }
    }
}

const ACCOUNT: &str = "ask the platform about the account of this appId";
const RIGHTS: &str = "ask the platform which rights this appId has";
const IDENTITY: &str = "check the patient's identity number in the HIS";
const CREDENTIALS: &str = "check clock, token (fingerprint) and appId; run doctor";

/// Every documented code, ascending.
#[rustfmt::skip] // one line a code
pub(super) const TABLE: &[(i64, Rule)] = &[
    (0, rule(Class::Success, "success", "成功")),
    (1, rule(Class::Transient, "other internal error; on a sibling API a parameter error", "其他内部错误（同类接口为参数错误）")),
    (2, rule(Class::Transient, "not documented; on a sibling API database trouble", "文档未说明（同类接口为数据库异常）")),
    (10_001, rule(Class::Unexpected, "file saving failed", "文件保存失败")),
    (10_002, rule(Class::Unexpected, "file deletion failed", "文件删除失败")),
    (10_003, rule(Class::NoData, "no data found", "未查询到数据")),
    (10_004, rule(Class::Caller, "duplicate data", "数据重复")),
    (10_005, rule(Class::Caller, "data not valid", "数据无效").remedy("check the form of idNum and phoneNum; if every query fails, suspect the encryption switches (padding, hex_case, key_form)")),
    (20_001, rule(Class::Unexpected, "captcha wrong", "验证码错误")),
    (20_002, rule(Class::Unexpected, "captcha expired", "验证码已过期")),
    (20_003, rule(Class::Limit, "daily captcha limit reached", "当日验证码次数已达上限")),
    (20_004, rule(Class::Limit, "attempt limit reached", "尝试次数已达上限")),
    (20_005, rule(Class::Auth, "account check expired", "账号校验已过期").remedy(ACCOUNT)),
    (20_006, rule(Class::Auth, "account check failed", "账号校验失败").remedy(ACCOUNT)),
    (20_007, rule(Class::Auth, "account signed in elsewhere", "账号已在别处登录").remedy(ACCOUNT)),
    (20_008, rule(Class::Permission, "the user has no permission", "用户无权限").remedy(RIGHTS).alert()),
    (20_009, rule(Class::Unexpected, "share link no longer valid", "分享链接已失效")),
    (20_010, rule(Class::Permission, "user disabled", "用户已停用").remedy(RIGHTS).alert()),
    (20_011, rule(Class::Permission, "no telephone bound to the user", "用户未绑定手机号").remedy(RIGHTS).alert()),
    (20_012, rule(Class::Permission, "the user is not an administrator", "用户不是管理员").remedy(RIGHTS).alert()),
    (20_013, rule(Class::Unknown, "user exists already", "用户已存在")),
    (20_014, rule(Class::Unknown, "user does not exist", "用户不存在")),
    (20_015, rule(Class::Unexpected, "institution name taken", "机构名称已存在")),
    (20_016, rule(Class::Configuration, "institution does not exist", "机构不存在").remedy("hospitalId is wrong: compare hospital_id and union_id of the tenant with what the platform assigned")),
    (20_017, rule(Class::Unexpected, "share link needs a password", "分享链接需要密码")),
    (20_018, rule(Class::Unexpected, "consortium name taken", "医联体名称已存在")),
    (20_019, rule(Class::Unexpected, "department name taken", "科室名称已存在")),
    (20_020, rule(Class::Unexpected, "device name taken", "设备名称已存在")),
    (20_021, rule(Class::Unexpected, "device type name taken", "设备类型名称已存在")),
    (20_022, rule(Class::Unexpected, "share link not accessible", "分享链接不可访问")),
    (20_023, rule(Class::Configuration, "consortium does not exist", "医联体不存在").remedy("unionId is wrong: compare hospital_id and union_id of the tenant with what the platform assigned")),
    (20_024, rule(Class::Unexpected, "department does not exist", "科室不存在")),
    (20_025, rule(Class::Unexpected, "device does not exist", "设备不存在")),
    (20_026, rule(Class::Unexpected, "device type does not exist", "设备类型不存在")),
    (20_027, rule(Class::Unexpected, "doctor exists already", "医生已存在")),
    (20_028, rule(Class::Unexpected, "doctor does not exist", "医生不存在")),
    (20_029, rule(Class::Unexpected, "doctor has applied already", "医生已申请")),
    (20_030, rule(Class::Caller, "format not valid", "格式无效")),
    (20_031, rule(Class::Caller, "required parameter empty", "必填参数为空")),
    (20_032, rule(Class::Unexpected, "WeCom user id not valid", "企业微信用户 ID 无效")),
    (30_001, rule(Class::Transient, "report query failed", "报告查询失败")),
    (30_002, rule(Class::NoData, "study id does not exist", "检查号不存在")),
    (30_003, rule(Class::NoData, "report does not exist", "报告不存在")),
    (30_004, rule(Class::Unexpected, "report exists already", "报告已存在")),
    (30_005, rule(Class::Unexpected, "report creation failed", "报告创建失败")),
    (30_006, rule(Class::Unexpected, "report changed meanwhile", "报告已被他人修改")),
    (30_007, rule(Class::Unexpected, "report update failed", "报告更新失败")),
    (30_008, rule(Class::NoData, "study not found; on a sibling API still being processed", "未找到检查（同类接口为仍在处理）").remedy("wait: the study may still be on its way").at_most_s(5)),
    (30_009, rule(Class::Permission, "no permission to view the study", "无权查看该检查").remedy("ask which dataFlag this hospital may use; counted per caller")),
    (30_010, rule(Class::Unexpected, "report locked", "报告已锁定")),
    (30_011, rule(Class::Unexpected, "report cannot be unlocked", "报告无法解锁")),
    (30_012, rule(Class::Unexpected, "body part exists already", "部位已存在")),
    (30_013, rule(Class::Unexpected, "body part does not exist", "部位不存在")),
    (30_014, rule(Class::Unexpected, "examination item exists already", "检查项目已存在")),
    (30_015, rule(Class::Unexpected, "examination item does not exist", "检查项目不存在")),
    (40_001, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_002, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_003, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_004, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_005, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_006, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_007, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_008, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_009, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_010, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (40_011, rule(Class::Unexpected, "live room, group chat or meeting error", "直播间、群聊或会议错误")),
    (50_001, rule(Class::Limit, "member limit reached", "成员数量已达上限")),
    (50_002, rule(Class::Permission, "member missing or without permission", "成员不存在或无权限").remedy("check the patient's membership at the platform")),
    (50_003, rule(Class::Caller, "member's identity number wrong", "成员证件号错误").remedy(IDENTITY)),
    (50_004, rule(Class::Limit, "daily scan limit reached", "当日扫码次数已达上限")),
    (50_005, rule(Class::Caller, "identity number wrong", "证件号错误").remedy(IDENTITY)),
    (50_006, rule(Class::Caller, "identity number does not match", "证件号不匹配").remedy(IDENTITY)),
    (60_001, rule(Class::Unexpected, "knowledge base error", "知识库错误")),
    (60_002, rule(Class::Unexpected, "knowledge base error", "知识库错误")),
    (60_003, rule(Class::Unexpected, "knowledge base error", "知识库错误")),
    (60_004, rule(Class::Unexpected, "knowledge base error", "知识库错误")),
    (60_005, rule(Class::Unexpected, "knowledge base error", "知识库错误")),
    (60_006, rule(Class::Unexpected, "knowledge base error, text unknown", "知识库错误（具体含义未知）")),
    (90_001, rule(Class::Auth, "not documented; on sibling APIs an invalid token", "文档未说明（同类接口为 token 无效）").remedy(CREDENTIALS).resign()),
    (90_002, rule(Class::Auth, "not documented; on sibling APIs an invalid signature", "文档未说明（同类接口为签名无效）").remedy(CREDENTIALS).resign()),
    (90_003, rule(Class::Limit, "not documented; on a sibling API too many fetches", "文档未说明（同类接口为获取次数超限）").remedy("lower the tenant's quota, or ask the platform for a higher one").brake().alert()),
    (100_001, rule(Class::Caller, "parameter error", "参数错误")),
    (100_002, rule(Class::Transient, "saving failed", "保存失败")),
    (100_003, rule(Class::Transient, "data synchronisation failed", "数据同步失败")),
    (100_004, rule(Class::NoData, "no data found", "未查询到数据")),
];
