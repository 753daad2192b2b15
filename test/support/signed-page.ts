import { execFile } from "node:child_process";

/** What a page of a real gateway answered to curl. */
export interface PageAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A session of an administrator named `chief`; every request is curl's. */
export interface SignedPage {
  readonly get: (path: string) => Promise<PageAnswer>;
  /** @param more  Headers in place of those of our own pages, as curl takes them. */
  readonly post: (path: string, body: unknown, more?: readonly string[]) => Promise<PageAnswer>;
}

/** Makes the first account of a gateway with the one-time link that it printed. */
export async function makeFirstAccount(link: string): Promise<SignedPage> {
  const { origin } = new URL(link);
  const headers = ["-H", "content-type: application/json", "-H", "x-vigil-page: 1", "-H", `origin: ${origin}`];
  const token = link.split("#/first/")[1];
  const account = JSON.stringify({ token, name: "chief", password: "correct horse 9" });
  const entered = await curl(["-i", ...headers, "--data-binary", "@-", `${origin}/api/first-account`], account);
  const cookie = /set-cookie: ([^;]+)/i.exec(entered)?.[1] ?? "";
  const asked = async (path: string, more: readonly string[], input = ""): Promise<PageAnswer> => {
    const said = await curl(["-w", "\n%{http_code}", "-b", cookie, ...more, `${origin}${path}`], input);
    const cut = said.lastIndexOf("\n");
    return { status: Number(said.slice(cut + 1)), body: JSON.parse(said.slice(0, cut)) as PageAnswer["body"] };
  };
  return {
    get: (path) => asked(path, []),
    post: (path, body, more = headers) => asked(path, [...more, "--data-binary", "@-"], JSON.stringify(body)),
  };
}

function curl(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve) => {
    // The gateway's own certificate is not known to curl, and is not what is asked for here.
    const child = execFile("curl", ["-s", "-k", "-m", "20", ...args], { maxBuffer: 1 << 24 }, (_error, stdout) =>
      resolve(stdout),
    );
    // A curl that ends before it has read all is told by its answer.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
