/** How a link becomes a session: the code in the fragment, and what the tab keeps. */
import { type Client, isRefusal } from '../api/client.ts';
import type { OpenedSession } from '../api/types.ts';

/** `#pc={code}`, beside what else the page keeps in its fragment. */
const CODE = /([#&])pc=([^&]*)(&|$)/;

/** A code that is not used yet, and the origin of the server it may be for: no other server gets to see it. */
let taken: { code: string; origin: string } | null = null;
/** Exchanges under way by center and code, so that two elements on a page do not use the one code twice. */
const exchanges = new Map<string, Promise<OpenedSession>>();
const refused = new Set<string>();
const memory = new Map<string, string>();

/** Takes the code out of the address; until it is used, other elements of the same server find it here. */
export function takeCode(base: string, { hash, pathname, search }: Location, history: History): string | null {
  const { origin } = new URL(base);
  const [found, before, code, after = ''] = CODE.exec(hash) ?? [];
  if (found) {
    taken = code ? { code, origin } : null;
    history.replaceState(history.state, '', pathname + search + hash.replace(found, after && (before as string)));
  }
  return taken?.origin === origin ? taken.code : null;
}

/** Uses the code up, once for each center, however many elements ask. Null when this center refused it before. */
export function exchange(client: Client, code: string): Promise<OpenedSession> | null {
  const key = `${client.base} ${code}`;
  if (refused.has(key)) return null;
  let opened = exchanges.get(key);
  if (!opened) {
    opened = client.openSession(code).finally(() => exchanges.delete(key));
    exchanges.set(key, opened);
    opened.then(
      () => {
        taken = null;
      },
      (error) => isRefusal(error) && refused.add(key),
    );
  }
  return opened;
}

/** One center's session: in memory, and in the tab's storage so that a reload keeps it. */
export class SessionKeeper {
  readonly #key: string;
  readonly #storage: () => Storage;

  /** `storage` is a function because the very name throws where storage is blocked. */
  constructor(base: string, storage: () => Storage) {
    this.#key = `preference-center ${base}`;
    this.#storage = storage;
  }

  /** When it ends, in milliseconds; NaN where there is none, or nobody knows. */
  get ends(): number {
    return Date.parse(this.#held()?.split(' ')[1] ?? '');
  }

  get(): string | null {
    return this.#held()?.split(' ')[0] ?? null;
  }

  /** Keeps a session that ends at `expires`, or forgets it. */
  set(session: string | null, expires = ''): void {
    this.#hold(session && `${session} ${expires}`.trim(), true);
  }

  /** Keeps the session that carries on the one before. A page that took that one out of the tab gets none back. */
  carryOn(session: string, expires: string): void {
    this.#hold(`${session} ${expires}`, this.#stored() !== null);
  }

  #held(): string | null {
    return memory.get(this.#key) ?? this.#stored();
  }

  #stored(): string | null {
    try {
      return this.#storage().getItem(this.#key);
    } catch {
      return null;
    }
  }

  #hold(value: string | null, inTab: boolean): void {
    if (value) memory.set(this.#key, value);
    else memory.delete(this.#key);
    try {
      if (!value) this.#storage().removeItem(this.#key);
      else if (inTab) this.#storage().setItem(this.#key, value);
    } catch {
      // Storage is blocked: memory has to do, and a reload asks for the link again.
    }
  }
}
