import { useState } from "preact/hooks";
import type { Role } from "../../../core/act.ts";
import { LIMITS } from "../../../core/limits.ts";
import { ROLES } from "../../../core/rights.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type RefusalWords, refusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";
import { ChoiceField, FormDialog, firstTrouble, neededTrouble, TextField } from "./form.tsx";
import { type AccountChange, type AccountRow, changeUsers } from "./people-door.ts";
import { withoutSymbology } from "./scan-meaning.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly onClosed: () => void;
}

interface AccountProps extends Props {
  readonly account: AccountRow;
}

/** Changes an account and says so; or says why not. */
async function change(state: PageState, asked: AccountChange): Promise<RefusalWords | null> {
  const done = await changeUsers(asked);
  const { language } = state.view();
  if (!done.ok) return refusalWords(language, done.error);
  state.tell(say(language, "done"), false);
  return null;
}

/** A password that is typed twice: the fields, and what is wrong with what stands in them. */
function useNewPassword(language: Language) {
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  return {
    password,
    check: (): RefusalWords | null =>
      firstTrouble(
        neededTrouble(language, "password", password),
        password === again ? null : { field: "again", text: say(language, "passwordsDiffer") },
      ),
    fields: (trouble: (field: string) => string | null) => (
      <>
        <TextField
          name="password"
          label={say(language, "password")}
          hint={say(language, "passwordRule")}
          trouble={trouble("password")}
          value={password}
          onValue={setPassword}
          kind="password"
        />
        <TextField
          name="again"
          label={say(language, "passwordAgain")}
          trouble={trouble("again")}
          value={again}
          onValue={setAgain}
          kind="password"
        />
      </>
    ),
  };
}

/** Adds an account. */
export function AddUserDialog({ state, view, onClosed }: Props) {
  const { language } = view;
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("nurse");
  const [patient, setPatient] = useState("");
  const given = useNewPassword(language);
  const submit = async () =>
    firstTrouble(neededTrouble(language, "name", name), checkPatient(language, role, patient), given.check()) ??
    (await change(state, {
      verb: "add",
      name: name.trim(),
      password: given.password,
      role,
      patientId: familyOf(role, patient),
    }));
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "userAdd")}
      does={say(language, "userAddDo")}
      submit={submit}
      onClosed={onClosed}
    >
      {(trouble) => (
        <>
          <TextField name="name" label={say(language, "name")} trouble={trouble("name")} value={name} onValue={setName} />
          <RoleFields view={view} role={role} onRole={setRole} patient={patient} onPatient={setPatient} trouble={trouble} />
          {given.fields(trouble)}
        </>
      )}
    </FormDialog>
  );
}

/** Gives an account another password. */
export function PasswordDialog({ state, view, account, onClosed }: AccountProps) {
  const { language } = view;
  const given = useNewPassword(language);
  const { name } = account;
  const submit = async () => given.check() ?? (await change(state, { verb: "password", name, password: given.password }));
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "userPasswordTitle", { name })}
      does={say(language, "save")}
      submit={submit}
      onClosed={onClosed}
    >
      {(trouble) => (
        <>
          <SelfNote view={view} name={name} />
          {given.fields(trouble)}
        </>
      )}
    </FormDialog>
  );
}

/** Gives an account another role. */
export function RoleDialog({ state, view, account, onClosed }: AccountProps) {
  const { language } = view;
  const { name } = account;
  const [role, setRole] = useState<Role>(account.role);
  const [patient, setPatient] = useState(account.patientId ?? "");
  const submit = async () =>
    checkPatient(language, role, patient) ??
    (await change(state, { verb: "role", name, role, patientId: familyOf(role, patient) }));
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "userRoleTitle", { name })}
      does={say(language, "save")}
      submit={submit}
      onClosed={onClosed}
    >
      {(trouble) => (
        <>
          <SelfNote view={view} name={name} />
          <RoleFields view={view} role={role} onRole={setRole} patient={patient} onPatient={setPatient} trouble={trouble} />
        </>
      )}
    </FormDialog>
  );
}

/** Asks once more before an account is gone. */
export function RemoveUserDialog({ state, view, account, onClosed }: AccountProps) {
  const { language } = view;
  const { name } = account;
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "userRemoveTitle", { name })}
      does={say(language, "userRemoveDo")}
      submit={() => change(state, { verb: "remove", name })}
      onClosed={onClosed}
    >
      {() => (
        <>
          <p>{say(language, "userRemoveNote")}</p>
          <SelfNote view={view} name={name} />
        </>
      )}
    </FormDialog>
  );
}

function SelfNote({ view, name }: { readonly view: PageView; readonly name: string }) {
  return name === view.session?.user ? <p class="dialog__remedy">{say(view.language, "userSelf")}</p> : null;
}

function familyOf(role: Role, patient: string): string | null {
  return role === "family" ? withoutSymbology(patient.trim()) : null;
}

/** A family without a patient would see nothing. */
function checkPatient(language: Language, role: Role, patient: string): RefusalWords | null {
  return role === "family" ? neededTrouble(language, "patientId", patient) : null;
}

function RoleFields(props: {
  readonly view: PageView;
  readonly role: Role;
  readonly onRole: (role: Role) => void;
  readonly patient: string;
  readonly onPatient: (patient: string) => void;
  readonly trouble: (field: string) => string | null;
}) {
  const { view, role, onRole, patient, onPatient, trouble } = props;
  const { language, ward } = view;
  const present = (ward?.beds ?? []).flatMap((bed) =>
    bed.patient === null ? [] : [{ value: bed.patient.patientId, label: `${bed.title} · ${bed.patient.label}` }],
  );
  return (
    <>
      <ChoiceField
        name="role"
        label={say(language, "userRole")}
        hint={say(language, `roleMay.${role}`)}
        trouble={trouble("role")}
        value={role}
        onValue={(chosen) => onRole(ROLES.find((each) => each === chosen) ?? "nurse")}
        choices={ROLES.map((each) => ({ value: each, label: say(language, `role.${each}`) }))}
      />
      {role === "family" && (
        <TextField
          name="patientId"
          label={say(language, "patientNumber")}
          hint={say(language, "patientNumberHint")}
          trouble={trouble("patientId")}
          value={patient}
          onValue={onPatient}
          charactersMax={LIMITS.patientNumberCharactersMax.value}
          choices={present}
          isScanned
        />
      )}
    </>
  );
}
