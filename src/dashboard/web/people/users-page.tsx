import { useEffect, useState } from "preact/hooks";
import { maySee } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { minuteText } from "./limit-words.ts";
import { type AccountRow, askUsers } from "./people-door.ts";
import { AddUserDialog, PasswordDialog, RemoveUserDialog, RoleDialog } from "./users-dialogs.tsx";

/** Which dialog is open, about which account. */
type Open = { readonly kind: "add" } | { readonly kind: "password" | "role" | "remove"; readonly account: AccountRow };

/** Who may sign in and as what; administrators change it, auditors read it. */
export function UsersPage({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { language, session } = view;
  const [accounts, setAccounts] = useState<readonly AccountRow[] | "failed" | null>(null);
  const [open, setOpen] = useState<Open | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    void askUsers().then((answer) => setAccounts(answer.ok ? answer.value : "failed"));
  }, [turn]);
  const mayChange = session?.signIn === true && maySee(session, "POST /api/users/add");
  const close = () => {
    setOpen(null);
    setTurn((before) => before + 1);
  };
  return (
    <main class="sheet users">
      <h1>{say(language, "users")}</h1>
      {session?.signIn !== true ? (
        <p>{say(language, "usersNobodySigns")}</p>
      ) : (
        <>
          <p class="users__note">{say(language, "usersNote")}</p>
          {mayChange && (
            <button type="button" class="button button--primary" data-testid="add-user" onClick={() => setOpen({ kind: "add" })}>
              {say(language, "userAdd")}
            </button>
          )}
          {accounts === null && <p>{say(language, "loading")}</p>}
          {accounts === "failed" && <p class="field__trouble">{say(language, "usersFailed")}</p>}
          {accounts !== null && accounts !== "failed" && (
            <ul class="users__list">
              {accounts.map((account) => (
                <Account key={account.name} view={view} account={account} mayChange={mayChange} onOpen={setOpen} />
              ))}
            </ul>
          )}
        </>
      )}
      {open?.kind === "add" && <AddUserDialog state={state} view={view} onClosed={close} />}
      {open?.kind === "password" && <PasswordDialog state={state} view={view} account={open.account} onClosed={close} />}
      {open?.kind === "role" && <RoleDialog state={state} view={view} account={open.account} onClosed={close} />}
      {open?.kind === "remove" && <RemoveUserDialog state={state} view={view} account={open.account} onClosed={close} />}
    </main>
  );
}

function Account(props: {
  readonly view: PageView;
  readonly account: AccountRow;
  readonly mayChange: boolean;
  readonly onOpen: (open: Open) => void;
}) {
  const { view, account, mayChange, onOpen } = props;
  const { language } = view;
  const { name, role, patientId, createdAtMs, fromBeforeRoles } = account;
  const deeds = [
    { kind: "password", text: "userPassword" },
    { kind: "role", text: "userRoleChange" },
    { kind: "remove", text: "userRemove" },
  ] as const;
  return (
    <li class="account" data-account={name}>
      <div class="account__who">
        <b class="account__name">{name}</b>
        {name === view.session?.user && <span class="tag">{say(language, "userYou")}</span>}
        <span>{patientId === null ? say(language, `role.${role}`) : say(language, "userOf", { patient: patientId })}</span>
        {fromBeforeRoles && <span>{say(language, "userOld")}</span>}
        <span class="account__since">
          {say(language, "userSince")} {minuteText(language, createdAtMs, view.nowMs)}
        </span>
      </div>
      {mayChange && (
        <div class="account__deeds">
          {deeds.map(({ kind, text }) => (
            <button
              key={kind}
              type="button"
              class="button"
              aria-label={`${name}: ${say(language, text)}`}
              onClick={() => onOpen({ kind, account })}
            >
              {say(language, text)}
            </button>
          ))}
        </div>
      )}
    </li>
  );
}
