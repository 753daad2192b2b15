import type { DeviceView, PictureView } from "../../../core/stream.ts";
import { DeviceLine } from "../bed/device-line.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** Devices without a patient; they stay on the wall until dealt with. */
export function Unassigned({ state, view, ward }: Props & { readonly ward: PictureView }) {
  return (
    <section class="unassigned" aria-label={say(view.language, "unassigned")}>
      <h2>{say(view.language, "unassigned")}</h2>
      <p>{say(view.language, "unassignedNote")}</p>
      <ul>
        {ward.unassigned.map((device) => (
          <li key={device.deviceId}>
            <DeviceLine view={view} device={device} />
            <span class="unassigned__where">{whereOf(ward, device)}</span>
            {may(view.session, "assign") && (
              <button
                type="button"
                class="button"
                aria-label={`${device.title[view.language]}: ${say(view.language, "assign")}`}
                onClick={() => state.openDialog({ kind: "assign", deviceId: device.deviceId, patientId: null })}
              >
                {say(view.language, "assign")}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Several of one kind are told apart by the bed where they stand, else by their names. */
function whereOf(ward: PictureView, { bedId, deviceId }: DeviceView): string {
  return ward.beds.find((bed) => bed.bedId === bedId)?.title ?? deviceId;
}
