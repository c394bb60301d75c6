import { type Client, isRefusal, Offline, Problem } from '../api/client.ts';
import type { Answer, Answers, CenterDocument, Do, Labels, PathText, Preferences, SaveResult } from '../api/types.ts';
import { safeWebUrl } from '../url.ts';
import {
  forNewcomers,
  holds,
  isEmpty,
  type Leaf,
  leavesOf,
  nest,
  type Part,
  type Path,
  read,
  same,
} from './answers.ts';
import { exchange, type SessionKeeper } from './session.ts';

/** `closed`: nobody opened a link. `open`: answers may change. `new`: somebody is signing up. */
export type Phase = 'loading' | 'closed' | 'open' | 'new' | 'expired' | 'failed';

const MINUTE = 60_000;
/** The path of the address that somebody types who has no session; no answer has it. */
export const ADDRESS: Path = '.email';

/** What the last request came to. */
export interface Outcome {
  /** In one short sentence, for the status line. */
  text: string | undefined;
  /** Whether something was recorded. */
  saved?: boolean;
  applied?: readonly PathText[];
  merged?: readonly PathText[];
}

/** `refused`: what the person just did failed. `exported`: here is her data. The others become events. */
export type Signal = 'loaded' | 'saved' | 'failed' | 'refused' | 'exported';
/** Told of every change, then without a signal: draw again. */
export type Listener = (signal?: Signal, detail?: object) => void;

type Errors = ReadonlyMap<Path, readonly string[]>;
type Work = () => Promise<boolean>;

/** Where an action is not called as it is in the address. */
const ROUTES: Partial<Record<Do & string, string>> = { step_up: 'step-up', erase: 'erasure' };

/** Everything the element knows, and all that changes it. No DOM here. Read its fields, change them by its methods. */
export class Store {
  document: CenterDocument | null = null;
  preferences: Preferences | null = null;
  phase: Phase = 'loading';
  busy = false;
  offline = false;
  /** Messages by path; those under '' belong to the whole form. */
  errors: Errors = new Map();
  outcome: Outcome | null = null;
  /** What the person changed and has not saved. */
  draft: ReadonlyMap<Path, Answer> = new Map();
  /** What may be answered now. */
  leaves: ReadonlyMap<Path, Leaf> = new Map();
  /** What `undo` takes back: the last save of this page. */
  receipt: string | null = null;
  /** The address to which a link, or the mail of a sign-up, goes. */
  email = '';
  /** Whether the session ends in two minutes or less. */
  endsSoon = false;
  /** Whether somebody used the page since the session was last carried on. */
  touched = false;

  readonly #client: Client;
  readonly #keeper: SessionKeeper;
  readonly #listener: Listener;
  readonly #abort = new AbortController();
  /** Keys of bodies that got no answer: a repeat must carry the same one, and an edited body another. */
  readonly #keys = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();
  #again: Work | null = null;
  #code: string | null = null;
  /** The document as it came, while a sign-up shows only some of it. */
  #whole: CenterDocument | null = null;
  #triedAt = Number.NEGATIVE_INFINITY;
  /** It has reached its last end: nothing carries it on. */
  #last = false;

  constructor(client: Client, keeper: SessionKeeper, listener: Listener) {
    this.#client = client;
    this.#keeper = keeper;
    this.#listener = listener;
  }

  // --- what is on screen -------------------------------------------------------------------------------------------

  get labels(): Labels {
    return this.document?.labels ?? {};
  }

  /** Whether answers may change. */
  get open(): boolean {
    return this.phase === 'open' || this.phase === 'new';
  }

  /** The center's own page; also the base of the document's links. */
  get page(): string {
    return safeWebUrl(this.document?.page_url, this.#client.base) ?? this.#client.base;
  }

  isPending(path: Path): boolean {
    return !!this.preferences?.pending?.includes(path);
  }

  /** What the server holds, as drawn: what waits for a confirmation is not chosen yet. */
  base(path: Path): Answer | undefined {
    return this.preferences && !this.isPending(path) ? read(this.preferences.answers, path) : undefined;
  }

  value(path: Path): Answer | undefined {
    return this.draft.has(path) ? this.draft.get(path) : this.base(path);
  }

  /** False when the server hides it, or its condition does not hold. */
  isShown({ path, when }: Part): boolean {
    if (this.preferences?.hidden?.includes(path)) return false;
    return !when || holds(when, this.value(`${when.block}.${when.control}`));
  }

  // --- what the person does ----------------------------------------------------------------------------------------

  set(path: Path, value: Answer): void {
    this.#edit([...this.draft, [path, value]]);
    // The very same map while nothing in it changes: rows that show errors of theirs need not be drawn again.
    if (this.errors.has(path)) this.errors = new Map([...this.errors].filter(([key]) => key !== path));
    this.outcome = null;
    this.#listener();
  }

  discard(): void {
    this.#again = null;
    this.#edit([]);
    this.#begin();
    if (this.phase === 'new') this.#close();
    this.#listener();
  }

  /** What a save would send: the difference, without what is not on screen. */
  difference(): Map<Path, Answer> {
    return new Map(
      [...this.draft].filter(([path]) => this.leaves.get(path)?.parts.every((part) => this.isShown(part))),
    );
  }

  /** Sends the difference. Resolves to whether it is done. */
  save(): Promise<boolean> {
    return this.#ask(this.#save);
  }

  /** Opens the blocks to somebody new. */
  signUp(): void {
    const { document } = this;
    if (!document) return;
    this.#whole = document;
    this.document = forNewcomers(document);
    this.leaves = leavesOf(this.document, null);
    this.phase = 'new';
    this.#begin();
    this.#listener();
  }

  /** What the button of the form does: saves, signs up, or asks for a link. One at a time. */
  submit(): void {
    if (!this.busy) void (this.open ? this.save() : this.#ask(this.#requestLink));
  }

  /**
   * Carries the session on while somebody uses the page, says when it is about to end, and locks the page when it has.
   * To be called every now and then while the page is in sight.
   */
  async tend(): Promise<void> {
    const session = this.#keeper.get();
    if (this.phase !== 'open' || this.busy || !session) return;
    const now = Date.now();
    const before = this.#keeper.ends;
    const left = before - now;
    const due = left < 5 * MINUTE && this.touched && !this.#last;
    // Without an answer nothing is known, and it is asked for again; but not at once.
    if ((due || left <= 0) && now - this.#triedAt >= MINUTE) {
      this.#triedAt = now;
      try {
        if (due) {
          const renewed = await this.#client.renew(session);
          if (session === this.#keeper.get()) this.#keeper.carryOn(renewed.session, renewed.expires_at);
          this.touched = false;
          this.#last = this.#keeper.ends - before < MINUTE;
        } else {
          await this.#client.preferences(session, this.#abort.signal);
          // It goes on, so this clock is wrong: nobody here knows when it ends.
          this.#keeper.carryOn(session, '');
        }
      } catch (error) {
        if (statusOf(error) === 401 && session === this.#keeper.get()) this.#expire();
      }
    }
    const endsSoon = this.phase === 'open' && this.#keeper.ends - Date.now() < 2 * MINUTE;
    if (endsSoon === this.endsSoon && this.phase === 'open') return;
    this.endsSoon = endsSoon;
    this.#listener();
  }

  /** Runs an action. Answers go at once and alone; what the person was editing stays. */
  act(action: Do, block: string, receipt = this.receipt): Promise<boolean> {
    if (typeof action === 'object') return this.#ask(() => this.#patch({ [block]: action.answers }, new Map()));
    // An undo that is tried again is the same undo.
    const key = randomKey();
    const work: Work = () =>
      this.#send(
        async (session) => {
          const data = action === 'undo' ? { receipt } : {};
          const answer = await this.#client.act(session, ROUTES[action] ?? action, data, key);
          this.outcome = { text: answer.text };
          if (answer.preferences) await this.#take(answer as SaveResult, new Map());
          if (action === 'export') this.#listener('exported', answer);
          if (action === 'erase') {
            this.#keeper.set(null);
            this.#close();
          }
        },
        action === 'undo' ? work : null,
      );
    return this.#ask(work);
  }

  /** The network is back, or the person asks again. */
  async retry(): Promise<void> {
    const again = this.#again;
    this.#again = null;
    if (again) await this.#next(again);
    else if (this.phase === 'failed') await this.load();
  }

  // --- loading -----------------------------------------------------------------------------------------------------

  /** Fetches the document and, with a code or a session, the preferences: both at once. */
  async load(code = this.#code): Promise<void> {
    this.#code = code;
    this.phase = 'loading';
    this.#begin();
    this.#listener();
    const { signal } = this.#abort;
    try {
      const opening = this.#open();
      let isOpen = false;
      opening.then(
        () => {
          isOpen = true;
        },
        () => {}, // told below, after the document
      );
      this.document ??= await this.#client.document(signal);
      // What comes at once need not be drawn twice.
      if (!isOpen) this.#listener();
      const preferences = await opening;
      if (signal.aborted) return;
      if (typeof preferences === 'string') this.phase = preferences;
      else {
        await this.#receive(preferences, this.draft);
        this.phase = 'open';
      }
      this.#listener();
      this.#listener('loaded', { revision: this.document.revision, phase: this.phase });
    } catch (error) {
      if (signal.aborted) return;
      this.phase = 'failed';
      this.offline = error instanceof Offline;
      this.#listener();
      this.#listener('failed', { during: 'load', status: statusOf(error) });
    }
  }

  /** Ends what is under way, except saves: those must arrive. */
  stop(): void {
    this.#abort.abort();
  }

  async #open(): Promise<Preferences | 'closed' | 'expired'> {
    try {
      const opened = this.#code && (await exchange(this.#client, this.#code));
      if (opened) {
        this.#keeper.set(opened.session, opened.expires_at);
        this.#last = false;
        return opened.preferences;
      }
    } catch (error) {
      // Refused: used up by a reload or another tab, or too old. A session kept from before still serves.
      if (!isRefusal(error)) throw error;
    }
    const session = this.#keeper.get();
    if (!session) return this.#code ? 'expired' : 'closed';
    try {
      return await this.#client.preferences(session, this.#abort.signal);
    } catch (error) {
      if (statusOf(error) !== 401) throw error;
      this.#keeper.set(null);
      return 'expired';
    }
  }

  /** Takes the newest state in; when it is of a newer document, that too. */
  async #receive(preferences: Preferences, draft: Iterable<readonly [Path, Answer]>): Promise<void> {
    if (this.document && this.document.revision !== preferences.revision) {
      // A cache may still give the old one; then it stays, and the server merges.
      this.document = await this.#client.document(this.#abort.signal).catch(() => this.document);
    }
    this.preferences = preferences;
    if (this.document) this.leaves = leavesOf(this.document, preferences);
    this.#edit(draft);
  }

  /** Keeps of a draft what differs from what the server holds, and what the document on screen offers. */
  #edit(draft: Iterable<readonly [Path, Answer]>): void {
    const offered = ([path, value]: readonly [Path, Answer]) => {
      const leaf = this.leaves.get(path);
      const keys = leaf?.options?.map((option) => option.key);
      return leaf && (!keys || isEmpty(value) || [value].flat().every((key) => keys.includes(key as string)));
    };
    // Through a map first: the last value of a path counts.
    this.draft = new Map([...new Map(draft)].filter((entry) => offered(entry) && !same(entry[1], this.base(entry[0]))));
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  #begin(): void {
    this.offline = false;
    this.errors = new Map();
    this.outcome = null;
  }

  /** One request at a time; the next starts from the version that this one brings. */
  #next(work: Work): Promise<boolean> {
    const turn = this.#turn.then(work);
    this.#turn = turn;
    return turn;
  }

  async #ask(work: Work): Promise<boolean> {
    const done = await this.#next(work);
    if (!done) this.#listener('refused');
    return done;
  }

  readonly #save = async (): Promise<boolean> => {
    const difference = this.difference();
    if (this.phase === 'new') return this.#join(nest(difference));
    this.#begin();
    // Only what was touched can be missing: an unanswered question must never stand in the way of leaving.
    const missing = [...difference.keys()].filter((path) => {
      return this.leaves.get(path)?.required && isEmpty(difference.get(path));
    });
    if (difference.size && !missing.length) return this.#patch(nest(difference), difference);
    this.errors = new Map(missing.map((path) => [path, [this.labels.required ?? '']]));
    if (!missing.length) this.outcome = { text: this.labels.nothing_changed };
    this.#listener();
    return !missing.length;
  };

  #patch(answers: Answers, sent: ReadonlyMap<Path, Answer>): Promise<boolean> {
    const data = { base_version: this.preferences?.version, revision: this.document?.revision, answers };
    // Answers of an action are sent again as they are; a save is made anew from what the draft is by then.
    const again = sent.size ? this.#save : () => this.#patch(answers, sent);
    return this.#sendOnce(data, again, async (session, body, key) =>
      this.#take(await this.#client.save(session, body, key), sent),
    );
  }

  #join(answers: Answers): Promise<boolean> {
    const data = { email: this.email, revision: this.document?.revision, answers };
    return this.#sendOnce(data, this.#save, async (_session, body, key) => {
      const { text } = await this.#client.signUp(body, key);
      this.#close();
      this.outcome = { text };
    });
  }

  readonly #requestLink: Work = () =>
    this.#send(async () => {
      this.outcome = { text: (await this.#client.requestLink(this.email)).text };
    });

  /** Sends a body under a key. A repeat of what got no answer has the same one. */
  #sendOnce(
    data: object,
    again: Work,
    work: (session: string, body: string, key: string) => Promise<void>,
  ): Promise<boolean> {
    const body = JSON.stringify(data);
    const key = this.#keys.get(body) ?? randomKey();
    this.#keys.set(body, key);
    return this.#send(async (session) => {
      try {
        await work(session, body, key);
        this.#keys.delete(body);
      } catch (error) {
        if (statusOf(error) === 422) this.#keys.delete(body);
        throw error;
      }
    }, again);
  }

  /** Back to what everybody sees. */
  #close(): void {
    this.document = this.#whole ?? this.document;
    this.#whole = null;
    this.#edit([]);
    this.preferences = null;
    this.phase = 'closed';
  }

  #expire(): void {
    this.#keeper.set(null);
    this.phase = 'expired';
  }

  async #take({ version, receipt, preferences, applied, merged, kept }: SaveResult, sent: ReadonlyMap<Path, Answer>) {
    this.receipt = receipt ?? this.receipt;
    // What was edited while the save was on its way stays.
    await this.#receive(
      preferences,
      [...this.draft].filter(([path, value]) => sent.get(path) !== value),
    );
    const { saved, nothing_changed } = this.labels;
    // Nothing was recorded, and yet something may have been done: a new address was written to.
    const done = receipt ? '' : applied?.map(({ text }) => text).join(' ');
    this.outcome = {
      text: receipt ? saved : done || nothing_changed,
      saved: !!receipt,
      applied: receipt ? (applied ?? []) : [],
      merged: [...(merged ?? []), ...(kept ?? [])],
    };
    this.#listener('saved', { version, receipt });
  }

  /** Does what needs the session, and turns each way it can fail into state. */
  async #send(work: (session: string) => Promise<void>, again: Work | null = null): Promise<boolean> {
    this.#begin();
    this.#again = null;
    this.busy = true;
    this.#listener();
    let failure: unknown;
    try {
      await work(this.#keeper.get() ?? '');
    } catch (error) {
      failure = error;
      this.#fail(error, again);
    }
    this.busy = false;
    this.#listener();
    if (failure) this.#listener('failed', { during: 'save', status: statusOf(failure) });
    return !failure;
  }

  #fail(error: unknown, again: Work | null): void {
    const { labels } = this;
    const status = statusOf(error);
    if (error instanceof Offline) {
      this.#again = again;
      this.offline = true;
      this.outcome = { text: labels.offline };
    } else if (status === 401) {
      this.#expire();
    } else {
      const { errors, body } = error instanceof Problem ? error : { errors: new Map(), body: {} };
      const words = status === 429 ? labels.too_many : status > 499 ? '' : (body.detail ?? body.title);
      this.errors = errors.size ? errors : new Map([['', [words || (labels.server_error ?? '')]]]);
    }
  }
}

function statusOf(error: unknown): number {
  return error instanceof Problem ? error.status : 0;
}

/** `crypto.randomUUID` is missing on plain http. */
function randomKey(): string {
  return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
}
