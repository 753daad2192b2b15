/** One bound of the gateway: the number, its unit, and what happens when it is reached. */
export interface Bound {
  readonly value: number;
  readonly unit: string;
  readonly atLimit: string;
}

function bound(value: number, unit: string, atLimit: string): Bound {
  return { value, unit, atLimit };
}

/**
 * Every queue, buffer, wait and retry in one table, printed by the documentation (`config/README.md`).
 * Rule (safety.md): a queue holds at most ten seconds of its full load; waves go first, then observations, alerts and acts never.
 */
// biome-ignore format: one row a line, so that it reads as the table it is.
export const LIMITS = {
  framerBytesMax: bound(4096, "bytes", "The oldest byte is given up, framing starts again one byte later, and the refusal is counted."),
  refusalsPerSecondMax: bound(20, "refusals/s per device", "Further refusals of that second are only counted."),
  linkQueueBytesMax: bound(65536, "bytes per link", "Reading from the link pauses; the serial port or TCP window holds the rest."),
  linkOpenMsMax: bound(10000, "ms", "The attempt is given up and the next one begins after the backoff."),
  linkBackoffMsMin: bound(500, "ms", "First wait before a link is opened again; doubled each time, with jitter."),
  linkBackoffMsMax: bound(15000, "ms", "Longest wait between two attempts to open a link."),
  linkWriteMsMax: bound(2000, "ms", "The write fails with `link-down` and the link is opened anew."),
  linkKeepAliveMs: bound(10000, "ms", "A quiet TCP connection is probed each second from then on; ten probes without an answer end it."),
  linkPresenceMs: bound(1000, "ms", "A serial path that has vanished or names another device ends the connection, and it is opened anew."),
  linkCloseMsMax: bound(1000, "ms", "Closing is waited for no longer; the operating system finishes it."),
  captureLineBytesMax: bound(262144, "bytes per line", "The recording counts as damaged there and ends."),
  simulatedClientsMax: bound(16, "clients per simulated device server", "The next client is closed at once."),
  simulatedQueueBytesMax: bound(65536, "bytes per client", "As a serial server does, the simulated one drops what does not fit, and counts it."),
  simulatedRecordingBytesMax: bound(67108864, "bytes", "The recording is refused."),
  journalQueueRecordsMax: bound(25000, "records", "Ten seconds at 2,500 records/s. The oldest observations are dropped and a loss is recorded; alerts, acts, receipts and losses stay."),
  journalKeptRecordsMax: bound(20000, "records", "Alerts, acts, receipts and losses that wait for a disk; beyond it the process stops and the supervisor restarts it."),
  journalBatchRecordsMax: bound(2000, "records", "The rest goes into the next commit."),
  journalGroupCommitMsMax: bound(250, "ms", "The batch is committed. Alerts, acts and receipts are committed at once."),
  journalReadRecordsMax: bound(1000, "records per page", "The reader asks for the next page."),
  journalCommitMsMax: bound(10000, "ms", "A commit that the disk has neither taken nor refused counts as `journal-write-failed` until it is taken."),
  journalRetryMs: bound(1000, "ms", "After a failed write the same batch is tried again, for ever, while the queue is bounded."),
  journalLossReportMs: bound(60000, "ms", "Records dropped from a full queue are counted together and told as one range; the first of a row at once."),
  journalSegmentBytesMax: bound(67108864, "bytes per segment", "The segment is closed and the next one begun; a sixteenth of the byte budget where that is less."),
  journalSegmentMsMax: bound(3600000, "ms per segment", "The segment is closed and the next one begun, so that damage and dropping touch an hour."),
  journalWalBytesMax: bound(4194304, "bytes", "The write-ahead log is carried into its file, after the commit was acknowledged."),
  journalNumbersReserved: bound(1_000_000_000, "numbers", "Set aside on disk before they are given and renewed when half are used; what a life that was cut off had left of them is left out. Enough for four days of a dead disk at 2,600 records/s; beyond that a crash may give a number twice."),
  journalCursorMsMax: bound(1000, "ms", "Readers' cursors are stored together, without an fsync of their own."),
  journalReadsWaitingMax: bound(1024, "requests", "The caller is wrong: the process stops and the supervisor restarts it."),
  journalReaderFilesMax: bound(24, "open segments", "The one unused for longest is closed."),
  journalTrendPointsMax: bound(5000, "points", "The trend is thinned to so many."),
  alertWithoutCommitMsMax: bound(250, "ms", "The alert goes upstream marked `durable:false` under the same key."),
  actCommitMsMax: bound(2000, "ms", "The person is told that the act counts but is not yet on disk."),
  upstreamInFlightMax: bound(20, "publishes", "Further batches wait in the journal."),
  upstreamBatchRecordsMax: bound(200, "records", "The rest goes into the next publish."),
  upstreamConfirmMsMax: bound(10000, "ms", "The connection is closed as `upstream-slow` and opened anew; unconfirmed records are sent again, marked."),
  upstreamConnectMsMax: bound(10000, "ms", "The attempt is given up and the next one begins after the backoff."),
  upstreamBackoffMsMin: bound(1000, "ms", "First wait before the upstream is tried again; doubled each time, with jitter."),
  upstreamBackoffMsMax: bound(30000, "ms", "Longest wait between two attempts to reach the upstream."),
  upstreamBacklogRangesMax: bound(16, "ranges", "The two nearest ranges are joined; what lies between is sent again, marked."),
  upstreamUrgentPlaces: bound(4, "publishes", "Places of `upstreamInFlightMax` that only alerts may take, so that an alert never waits for observations."),
  upstreamBacklogInFlightMax: bound(2, "batches", "The next batch of the backlog waits until one of these is confirmed."),
  upstreamUrgentWaitingMax: bound(1000, "alerts", "A further alert does not enter the urgent lane; it goes out from the journal after its commit."),
  upstreamProbeMs: bound(1000, "ms", "The sink is asked whether it still has its connection."),
  upstreamStopMsMax: bound(500, "ms", "Deliveries under way are given up; they are sent again at the next start, marked."),
  upstreamReceiptBytesMax: bound(4096, "bytes", "The receipt is refused, counted and told as `upstream-receipt-unreadable`."),
  upstreamHeartbeatMs: bound(10000, "ms", "A heartbeat is published; a receiver alarms after 30 s without one."),
  openAlertsMax: bound(1000, "alerts", "Further technical conditions are counted in one alert; physiological ones are always raised."),
  pageStreamBytesMax: bound(1048576, "bytes per page", "The page's stream is closed; the page opens it anew and gets a fresh picture."),
  pageStreamsMax: bound(64, "pages", "A further page is told that too many are open."),
  pageBodyBytesMax: bound(65536, "bytes", "The request is refused with 413."),
  signInAttemptsPerMinuteMax: bound(5, "attempts per account and minute", "Further attempts are refused for a minute."),
  pageSessionsMax: bound(256, "sessions", "The oldest session ends and its page asks for the password."),
  trendPointsMax: bound(2000, "points per trend", "The trend is thinned to this many, keeping each interval's lowest and highest."),
  sessionHoursMax: bound(12, "h", "The session ends and the page asks for the password."),
  oneTimeLinkMinutesMax: bound(60, "min", "The link is refused; the next start prints a new one while no account exists."),
  windowMsMax: bound(120_000, "ms before the newest value", "Older values leave the window; medians reach back 60 s."),
  windowSamplesMax: bound(600, "values per patient and quantity", "The oldest value leaves the window."),
  heartbeatProbeMs: bound(2000, "ms", "An injected observation must come out of the alert path as an alert."),
  heartbeatSilenceMsMax: bound(10000, "ms", "The supervisor sounds, ends and restarts the gateway."),
  gatewayReadyMsMax: bound(30000, "ms", "A gateway that has not called itself ready is sounded for, ended and started again."),
  gatewayGraceMs: bound(1000, "ms", "Time a stalled gateway has to print where it stands; then it is killed."),
  gatewayStopMarginMs: bound(1000, "ms", "Waited beyond `stopMsMax` before a gateway that was asked to stop is killed."),
  restartBackoffMsMin: bound(1000, "ms", "Wait before the second restart within five minutes; the first is at once, each further one waits twice as long."),
  restartBackoffMsMax: bound(10000, "ms", "Longest wait between two starts of the gateway."),
  crashWindowMs: bound(300000, "ms", "Crashes and stalls older than this no longer count towards safe mode and backoff."),
  sounderMsMax: bound(10000, "ms", "The sounder is killed, reported as `sounder-failed`, and run again."),
  sounderPauseMs: bound(1000, "ms", "Wait between two runs of the sounder while the gateway does not answer."),
  systemdNotifyMsMax: bound(2000, "ms", "The notification is given up and reported once; the next one is tried."),
  crashesBeforeSafeModeMax: bound(3, "crashes in 5 min", "The gateway starts with limits and alerts only."),
  controlRequestBytesMax: bound(65536, "bytes", "The request is refused and the connection closed."),
  stopMsMax: bound(3000, "ms", "What is not yet committed is waited for no longer; the process ends."),
} as const satisfies Record<string, Bound>;
