import type { BedView, DeviceView } from "../../../core/stream.ts";
import { DeviceLine } from "../bed/device-line.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
}

/** The devices on the patient of a bed and those that stand there on nobody, and the ways to put one on and to take one off. */
export function BedDevices({ state, view, bed }: Props) {
  const { language, session } = view;
  const { patient, devices } = bed;
  return (
    <section class="panel">
      <h2>{say(language, "devices")}</h2>
      {devices.length === 0 && <p>{say(language, "noDevices")}</p>}
      <ul class="bed-devices">
        {devices.map((device) => (
          <li key={device.deviceId}>
            <DeviceLine view={view} device={device} />
            {device.patientId === null && <span class="bed-devices__free">{say(language, "standsHere")}</span>}
            <DeviceDeed state={state} view={view} bed={bed} device={device} />
          </li>
        ))}
      </ul>
      {patient !== null && may(session, "assign") && (
        <button
          type="button"
          class="button"
          onClick={() => state.openDialog({ kind: "assign", deviceId: null, patientId: patient.patientId })}
        >
          {say(language, "assignMore")}
        </button>
      )}
    </section>
  );
}

function DeviceDeed({ state, view, bed, device }: Props & { readonly device: DeviceView }) {
  const { language, session } = view;
  const { deviceId, title } = device;
  if (device.patientId !== null)
    return may(session, "release") ? (
      <button
        type="button"
        class="button"
        aria-label={`${title[language]}: ${say(language, "release")}`}
        onClick={() => state.openDialog({ kind: "release", deviceId })}
      >
        {say(language, "release")}
      </button>
    ) : null;
  const { patient } = bed;
  if (patient === null || !may(session, "assign")) return null;
  return (
    <button
      type="button"
      class="button"
      onClick={() => state.openDialog({ kind: "assign", deviceId, patientId: patient.patientId })}
    >
      {say(language, "assignHere", { patient: patient.label })}
    </button>
  );
}
