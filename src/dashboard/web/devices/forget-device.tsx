import { useState } from "preact/hooks";
import type { DeviceId } from "../../../core/ids.ts";
import { FormDialog } from "../people/form.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

/** Takes an adopted device out of use, after asking. */
export function ForgetButton(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly device: { readonly deviceId: DeviceId; readonly name: string; readonly isAssigned: boolean };
  readonly onDone: () => void;
}) {
  const { state, view, device, onDone } = props;
  const { language } = view;
  const [isOpen, setOpen] = useState(false);
  const submit = async () => {
    const refused = await state.attempt({ kind: "forget-device", deviceId: device.deviceId });
    if (refused === null) onDone();
    return refused;
  };
  return (
    <>
      <button type="button" class="button" data-testid={`forget-${device.deviceId}`} onClick={() => setOpen(true)}>
        {say(language, "forgetDevice")}
      </button>
      {isOpen && (
        <FormDialog
          state={state}
          view={view}
          title={say(language, "forgetTitle", { device: device.name })}
          does={say(language, "forgetDevice")}
          submit={device.isAssigned ? null : submit}
          onClosed={() => setOpen(false)}
        >
          {() => <p>{say(language, device.isAssigned ? "forgetFirst" : "forgetNote")}</p>}
        </FormDialog>
      )}
    </>
  );
}
