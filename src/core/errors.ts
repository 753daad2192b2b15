import type { Text } from "./quantities.ts";

/** One kind of trouble: what a person is told and what they can do. Facts travel apart and are put behind the title. */
export interface ErrorDefinition {
  readonly title: Text;
  readonly remedy: Text;
  /** `alert` becomes a technical alert; `answer` is told to whoever asked; both are counted. */
  readonly told: "alert" | "answer";
}

/**
 * Every expected failure that a person may see, in one list.
 * `test/errors.test.ts` compares it with what the code raises and what README's table says.
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const ERRORS = {
  "link-down": { told: "alert", title: { en: "Connection to the device is lost", zh: "与设备的连接中断" }, remedy: { en: "Check cable, power and the serial server; the gateway keeps trying.", zh: "检查线缆、电源和串口服务器；网关会持续重连。" } },
  "link-not-found": { told: "alert", title: { en: "The device's port does not exist", zh: "设备端口不存在" }, remedy: { en: "Check `path` or `host` in the configuration and that the adapter is plugged in; the gateway keeps trying.", zh: "检查配置中的 path 或 host，并确认适配器已插好；网关会持续重试。" } },
  "link-busy": { told: "alert", title: { en: "Another program holds the device's port", zh: "设备端口被其他程序占用" }, remedy: { en: "End the other program; the gateway keeps trying.", zh: "关闭占用端口的程序；网关会持续重试。" } },
  "link-denied": { told: "alert", title: { en: "The gateway may not open the device's port", zh: "网关无权打开设备端口" }, remedy: { en: "Add the gateway's user to the group of the port (usually `dialout`).", zh: "将网关用户加入端口所属用户组（通常为 dialout）。" } },
  "device-refused": { told: "alert", title: { en: "The device sends bytes that cannot be read", zh: "设备发送的数据无法解析" }, remedy: { en: "Check driver, baud rate and parity against the device's settings; check the cable.", zh: "核对驱动、波特率、校验位与设备设置是否一致，检查线缆。" } },
  "device-clock-frozen": { told: "alert", title: { en: "The device's clock stands still", zh: "设备时钟停走" }, remedy: { en: "Its values may be old. Look at the patient, restart the device and set its clock.", zh: "数值可能已过时。请查看患者，重启设备并校准时钟。" } },
  "alerts-grouped": { told: "alert", title: { en: "So many technical alerts are open that further ones are only counted", zh: "技术报警过多，其余仅计数" }, remedy: { en: "Deal with the technical alerts in the list; the counted ones then appear one by one.", zh: "请处理列表中的技术报警；其余报警随后逐条显示。" } },
  "device-quarantined": { told: "alert", title: { en: "The device's driver failed and was shut off", zh: "设备驱动出错，已隔离" }, remedy: { en: "The other devices keep running. Report the device and its bytes; restart the gateway to try again.", zh: "其他设备不受影响。请上报该设备及其数据；重启网关可再试。" } },
  "queue-full": { told: "alert", title: { en: "The gateway cannot keep up and dropped data", zh: "网关处理不及，丢弃了数据" }, remedy: { en: "Alerts are never dropped. Use a faster board or fewer devices; the lost range is recorded.", zh: "报警不会丢弃。请使用更快的主板或减少设备；丢失区间已记录。" } },
  "journal-write-failed": { told: "alert", title: { en: "Records cannot be written to disk", zh: "记录无法写入磁盘" }, remedy: { en: "Free space or replace the disk; where a file is named, let the gateway's user read and write it. Alerts go on from memory, marked as not durable.", zh: "释放空间或更换磁盘；若指明了文件，请授予网关用户读写权限。报警仍在内存中继续，并标记为未落盘。" } },
  "journal-disk-full": { told: "alert", title: { en: "The disk is full", zh: "磁盘已满" }, remedy: { en: "Free space on the disk of the journal. Alerts go on from memory, marked as not durable.", zh: "请释放日志所在磁盘空间。报警仍在内存中继续，并标记为未落盘。" } },
  "journal-damaged": { told: "alert", title: { en: "A journal file was damaged and set aside", zh: "日志文件损坏，已移出" }, remedy: { en: "The rest is in use. Keep the file ending in `.damaged` for analysis and check the disk.", zh: "其余数据继续使用。请保留以 .damaged 结尾的文件并检查磁盘。" } },
  "journal-locked": { told: "answer", title: { en: "Another gateway uses this journal", zh: "另一网关正在使用该日志目录" }, remedy: { en: "Stop the other process or set another `gateway.dataFolder`.", zh: "停止另一进程，或设置不同的 gateway.dataFolder。" } },
  "journal-too-new": { told: "answer", title: { en: "The journal was written by a newer version", zh: "日志由更新版本的程序写入" }, remedy: { en: "Install that version again, or set another `gateway.dataFolder`. Nothing was changed.", zh: "请重新安装该版本，或设置不同的 gateway.dataFolder。未做任何更改。" } },
  "journal-unreadable": { told: "answer", title: { en: "The journal cannot be read", zh: "无法读取日志" }, remedy: { en: "Check `gateway.dataFolder`, run as the gateway's user, and see that the temporary folder (TMPDIR) has room for a copy of the newest files. Nothing was changed.", zh: "请检查 gateway.dataFolder，以网关用户身份运行，并确认临时目录（TMPDIR）有空间存放最新文件的副本。未做任何更改。" } },
  "upstream-unreachable": { told: "alert", title: { en: "The upstream server cannot be reached", zh: "无法连接上级平台" }, remedy: { en: "Check network and address. Nothing is lost: records wait in the journal.", zh: "检查网络与地址。数据不会丢失：记录保存在日志中等待。" } },
  "upstream-denied": { told: "alert", title: { en: "The upstream server refuses the gateway", zh: "上级平台拒绝网关登录" }, remedy: { en: "Check user name, password file and certificate. Records wait in the journal.", zh: "检查用户名、密码文件与证书。记录保存在日志中等待。" } },
  "upstream-certificate": { told: "alert", title: { en: "The upstream server's certificate is not trusted", zh: "上级平台证书不受信任" }, remedy: { en: "Check `caFile` and the server's name and dates. Records wait in the journal.", zh: "检查 caFile 以及服务器名称和证书有效期。记录保存在日志中等待。" } },
  "upstream-slow": { told: "alert", title: { en: "The upstream server does not confirm in time", zh: "上级平台确认超时" }, remedy: { en: "Check the server's load and the network. Records wait in the journal.", zh: "检查服务器负载与网络。记录保存在日志中等待。" } },
  "upstream-rejected": { told: "alert", title: { en: "The upstream server rejected a record", zh: "上级平台拒收记录" }, remedy: { en: "The record was set aside and stays in the journal; ask the server's operator.", zh: "该记录已另存并保留在日志中；请联系平台管理员。" } },
  "upstream-receipt-unreadable": { told: "alert", title: { en: "The upstream server sends receipts that cannot be read", zh: "上级平台的回执无法解析" }, remedy: { en: "Alerts still go out. Ask the server's operator to send receipts as documented.", zh: "报警仍正常发送。请联系平台管理员按文档格式发送回执。" } },
  "upstream-receipt-unknown": { told: "alert", title: { en: "The upstream server sends receipts about records that this gateway never sent", zh: "上级平台的回执指向本网关从未发送的记录" }, remedy: { en: "Alerts still go out. Ask the server's operator whether receipts reach the right gateway; after a damaged journal old ones may come for a while.", zh: "报警仍正常发送。请联系平台管理员核对回执是否发往正确的网关；日志损坏后短期内可能收到旧回执。" } },
  "upstream-receipts-many": { told: "alert", title: { en: "The upstream server sends more receipts than the gateway takes", zh: "上级平台发送的回执过多" }, remedy: { en: "Alerts still go out; receipts are taken slowly and none is lost. Ask the server's operator why there are so many.", zh: "报警仍正常发送；回执将限速接收，不会丢失。请联系平台管理员查明原因。" } },
  "upstream-left-behind": { told: "alert", title: { en: "The upstream was away for so long that the journal gave up records it never got", zh: "上级平台中断过久，日志已舍弃其未收到的记录" }, remedy: { en: "The range is recorded as a loss; alerts are all kept and will be sent. Mend the connection or give the journal more room (`journal.sizeMegabytesMax`).", zh: "丢失区间已记录；报警全部保留并会补发。请修复连接，或增大 journal.sizeMegabytesMax。" } },
  "upstream-begins-anew": { told: "alert", title: { en: "Everything in the journal is sent to the upstream again under new keys", zh: "日志全部内容将以新的键重新发送给上级平台" }, remedy: { en: "The journal was damaged and its numbering began a new epoch. Nothing is to be done; tell the server's operator.", zh: "日志曾损坏，编号已进入新的纪元。无需处理；请告知平台管理员。" } },
  "upstream-failing": { told: "alert", title: { en: "The upstream server answers with an error of its own", zh: "上级平台自身出错" }, remedy: { en: "Look at the server's log and disk. Records wait in the journal.", zh: "查看服务器日志与磁盘。记录保存在日志中等待。" } },
  "upstream-target-missing": { told: "alert", title: { en: "The database or bucket is not at this address", zh: "该地址没有所配置的数据库或存储桶" }, remedy: { en: "Check `url` and `target`, and create the database or bucket on the server. Records wait in the journal.", zh: "检查 url 与 target，并在服务器上创建数据库或存储桶。记录保存在日志中等待。" } },
  "upstream-refuses-all": { told: "alert", title: { en: "The upstream server takes no data, or none of one kind", zh: "上级平台拒收全部数据或某一类数据" }, remedy: { en: "No record is to blame: check the server's limits, and whether its database holds other data under the same names. Records wait in the journal.", zh: "并非某条记录有误：请检查服务器的上限设置，以及数据库中是否有同名的其他数据。记录保存在日志中等待。" } },
  "upstream-series-many": { told: "alert", title: { en: "So many patients were written to the upstream database that new ones are no longer told apart there", zh: "写入上级数据库的患者过多，新患者在其中不再区分" }, remedy: { en: "Alerts and the journal are complete. Restart the gateway to begin counting anew, and see that the database drops old data.", zh: "报警与日志完整。重启网关可重新计数，并请为数据库设置数据保留期限。" } },
  "broker-failed": { told: "alert", title: { en: "The gateway's MQTT broker could not be started", zh: "网关的 MQTT 服务无法启动" }, remedy: { en: "See the reason. EADDRINUSE: another program holds the port, end it or set another in `broker`. Otherwise check addresses and certificate files. Devices on other links go on.", zh: "请查看原因。EADDRINUSE 表示端口被其他程序占用，请关闭该程序或在 broker 中更改端口；否则请检查地址与证书文件。其他链路的设备不受影响。" } },
  "broker-accounts-unreadable": { told: "alert", title: { en: "The broker's accounts cannot be read or written", zh: "MQTT 服务的账户文件无法读写" }, remedy: { en: "Check `broker-accounts.json` in the data folder, its owner and the disk; restore it from a backup or make the accounts anew with `vigil devices add`. Nobody gets in without it.", zh: "请检查数据目录中的 broker-accounts.json、其所有者及磁盘；从备份恢复，或用 vigil devices add 重新创建账户。在此之前无人可以登录。" } },
  "broker-account-refused": { told: "answer", title: { en: "This account of the broker cannot be made or changed", zh: "无法创建或更改该 MQTT 账户" }, remedy: { en: "See the field named. Names and client ids are letters, digits, dot, hyphen and underscore, and belong to one account only; filters have wildcards as whole levels.", zh: "请查看所指字段。名称与客户端标识只能含字母、数字、点、连字符和下划线，且只能属于一个账户；过滤器的通配符须占整级。" } },
  "broker-sign-in-refused": { told: "alert", title: { en: "A device is refused by the gateway's MQTT broker", zh: "设备被网关的 MQTT 服务拒绝登录" }, remedy: { en: "Its messages do not arrive. Check its user name, password, client id and certificate against the account; `vigil devices` makes a new password. If no device of yours is at that address, somebody is trying.", zh: "其消息无法到达。请核对设备的用户名、密码、客户端标识和证书；可用 vigil devices 生成新密码。若该地址没有您的设备，则可能有人在尝试登录。" } },
  "broker-message-refused": { told: "alert", title: { en: "A device sends messages that the broker does not take", zh: "设备发送了 MQTT 服务不接受的消息" }, remedy: { en: "These messages are lost; its others arrive. Check the topics the device sends to against its account, and the size of its messages.", zh: "这些消息已丢弃，其余消息正常。请核对设备发送的主题与账户权限，以及消息大小。" } },
  "broker-overloaded": { told: "alert", title: { en: "A client of the MQTT broker goes beyond its bounds", zh: "MQTT 客户端超出限制" }, remedy: { en: "The others are served. See the reason: too many connections or subscriptions, or a client that does not read what it subscribed to.", zh: "其他客户端不受影响。请查看原因：连接或订阅过多，或客户端不读取其订阅的消息。" } },
  "broker-store-failed": { told: "alert", title: { en: "The broker cannot write what it keeps for its clients", zh: "MQTT 服务无法保存为客户端保留的消息" }, remedy: { en: "Free space or replace the disk. Messages still arrive; retained and queued ones would be lost in a restart.", zh: "请释放空间或更换磁盘。消息仍正常到达；但重启会丢失保留和排队的消息。" } },
  "mllp-port-failed": { told: "alert", title: { en: "HL7 messages cannot be received at this address", zh: "无法在该地址接收 HL7 消息" }, remedy: { en: "End the program that has the port, or mend `host`, `port` and the certificate files; the gateway keeps trying. Until then admit and move patients by hand.", zh: "请关闭占用端口的程序，或修正 host、port 与证书文件；网关会持续重试。在此之前请人工收治与转床。" } },
  "page-port-in-use": { told: "alert", title: { en: "The page's port is taken by another program", zh: "页面端口被占用" }, remedy: { en: "End the other program or set another `dashboard.port`. Watching and alerts go on.", zh: "关闭占用程序或更改 dashboard.port。监测与报警继续运行。" } },
  "page-failed": { told: "alert", title: { en: "The page cannot be served", zh: "页面服务失败" }, remedy: { en: "Watching and alerts go on. See the log for the reason.", zh: "监测与报警继续运行。原因见日志。" } },
  "model-refused": { told: "alert", title: { en: "A score or model was not loaded", zh: "评分或模型未加载" }, remedy: { en: "Its file does not match its manifest. Install it again from its source.", zh: "文件与清单不符。请从来源重新安装。" } },
  "model-failed": { told: "alert", title: { en: "A score or model stopped answering", zh: "评分或模型停止工作" }, remedy: { en: "Limits and other alerts go on. Restart the gateway; report the model.", zh: "限值等其他报警继续运行。请重启网关并上报该模型。" } },
  "sounder-failed": { told: "alert", title: { en: "The local alarm sounder failed", zh: "本地报警器故障" }, remedy: { en: "Check `supervisor.sounderCommand` and the loudspeaker.", zh: "检查 supervisor.sounderCommand 与扬声器。" } },
  "control-socket-failed": { told: "alert", title: { en: "The local control socket could not be opened", zh: "本地控制套接字无法打开" }, remedy: { en: "Commands cannot reach this gateway; check the folder's rights. Watching goes on.", zh: "命令行无法连接网关；检查目录权限。监测继续运行。" } },
  "safe-mode": { told: "alert", title: { en: "Safe mode: limits and alerts only", zh: "安全模式：仅限值与报警" }, remedy: { en: "The gateway crashed three times in five minutes. Scores are off; limits, alerts and their delivery go on. Report the log.", zh: "网关五分钟内崩溃三次。评分已关闭，限值、报警及其上传继续。请上报日志。" } },
  "gateway-restarted": { told: "alert", title: { en: "The gateway was restarted after it stopped answering", zh: "网关停止响应后已被重启" }, remedy: { en: "Watching goes on. Acknowledge after looking at each bed; report the log.", zh: "监测已恢复。请查看每张床后确认，并上报日志。" } },
  "clock-untrusted": { told: "alert", title: { en: "The gateway's clock cannot be trusted", zh: "网关时钟不可信" }, remedy: { en: "Watching and alerts go on. Connect the board to a time server or set its clock; times recorded until then are mended afterwards. Where nobody sets it, `clock.believe: always` vouches for it.", zh: "监测与报警继续运行。请连接时间服务器或校准主板时钟；此前记录的时间之后会自动更正。若无法对时，可设 clock.believe: always 由运维人员担保。" } },
  "config-invalid": { told: "answer", title: { en: "The configuration is not valid", zh: "配置无效" }, remedy: { en: "Mend the places listed.", zh: "请修正列出的位置。" } },
  "not-allowed": { told: "answer", title: { en: "This account may not do that", zh: "该账户无此权限" }, remedy: { en: "Ask an administrator.", zh: "请联系管理员。" } },
  "act-refused": { told: "answer", title: { en: "The act does not fit the present state", zh: "该操作与当前状态不符" }, remedy: { en: "Look at the bed again: it may have changed.", zh: "请重新查看该床位，状态可能已变化。" } },
  "signed-out": { told: "answer", title: { en: "Nobody is signed in on this page", zh: "此页面尚未登录" }, remedy: { en: "Sign in. A session ends when its time is over or somebody signs out, not by a restart of the gateway.", zh: "请登录。会话在到期或退出登录后结束，网关重启不会结束会话。" } },
  "sign-in-refused": { told: "answer", title: { en: "Name or password is wrong", zh: "用户名或密码错误" }, remedy: { en: "Try again; after five attempts in a minute the name is locked for that minute.", zh: "请重试；一分钟内五次失败后将锁定至该分钟结束。" } },
  "sign-in-locked": { told: "answer", title: { en: "Too many attempts to sign in", zh: "登录尝试次数过多" }, remedy: { en: "Wait a minute, then try again.", zh: "请等待一分钟后重试。" } },
  "one-time-link-refused": { told: "answer", title: { en: "The one-time link was used already or is too old", zh: "一次性链接已使用或已过期" }, remedy: { en: "Sign in with the account that was made, or restart the gateway for a new link.", zh: "请用已创建的账户登录，或重启网关获取新链接。" } },
  "account-refused": { told: "answer", title: { en: "This name or password cannot be used", zh: "该用户名或密码不可用" }, remedy: { en: "Choose another name, and a password of at least ten characters.", zh: "请更换用户名，密码至少十个字符。" } },
  "request-refused": { told: "answer", title: { en: "The request was not understood", zh: "请求无法识别" }, remedy: { en: "Reload the page and try again.", zh: "请刷新页面后重试。" } },
  "pages-too-many": { told: "answer", title: { en: "Too many pages are open on this gateway", zh: "此网关打开的页面过多" }, remedy: { en: "Close pages that nobody looks at; this one keeps trying.", zh: "请关闭无人查看的页面；本页会持续重试。" } },
} as const satisfies Record<string, ErrorDefinition>;

/** The code of an expected failure. */
export type ErrorCode = keyof typeof ERRORS;

/** A failure with its facts; texts come from `ERRORS` when shown. */
export interface Fault {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Makes a fault. */
export function fault(code: ErrorCode, facts: Readonly<Record<string, string | number>> = {}): Fault {
  return { code, facts };
}
