import { type Client, Offline, Problem } from '../api/client.ts';
import type { Answer, Answers, CenterDocument, Do, LabelKey, PathText, Preferences, SaveResult } from '../api/types.ts';
import { type Draft, holds, isEmpty, type Leaf, leaves, nest, type Path, read, same } from './answers.ts';
import { exchange, type SessionKeeper } from './session.ts';

/** `closed`: nobody opened a link. `open`: answers may change. */
export type Phase = 'loading' | 'closed' | 'open' | 'expired' | 'failed';

export interface Outcome {
  /** In one short sentence, for the status line. */
  text: string;
  /** Whether something was recorded. */
  saved: boolean;
  applied: readonly PathText[];
  merged: readonly PathText[];
}

export interface State {
  readonly document: CenterDocument | null;
  readonly preferences: Preferences | null;
  readonly phase: Phase;
  readonly draft: Draft;
  readonly busy: boolean;
  readonly offline: boolean;
  /** Messages by path; those under '' belong to the whole form. */
  readonly errors: ReadonlyMap<Path, readonly string[]>;
  readonly outcome: Outcome | null;
}

export type Signal = 'loaded' | 'saved' | 'failed' | 'exported';
export type Listener = (signal?: Signal, detail?: Record<string, unknown>) => void;

const NOTHING: ReadonlyMap<Path, readonly string[]> = new Map();

/** Everything the element knows. Each change makes a new state and tells the listener; no DOM here. */
export class Store {
  state: State = {
    document: null,
    preferences: null,
    phase: 'loading',
    draft: new Map(),
    busy: false,
    offline: false,
    errors: NOTHING,
    outcome: null,
  };
  #leaves: Map<Path, Leaf> = new Map();
  #pending: ReadonlySet<Path> = new Set();
  #hidden: ReadonlySet<Path> = new Set();
  /** Keys of the bodies that got no answer: a repeat must carry the same one (draft-ietf-httpapi-idempotency-key). */
  readonly #keys = new Map<string, string>();
  /** One request at a time; the next starts from the version that this one brings. */
  #turn: Promise<unknown> = Promise.resolve();
  #failed: (() => Promise<boolean>) | null = null;
  #receipt: string | null = null;
  readonly #client: Client;
  readonly #keeper: SessionKeeper;
  readonly #listener: Listener;
  readonly #abort = new AbortController();

  constructor(client: Client, keeper: SessionKeeper, listener: Listener) {
    this.#client = client;
    this.#keeper = keeper;
    this.#listener = listener;
  }

  // --- what is on screen -------------------------------------------------------------------------------------------

  label(key: LabelKey): string {
    return this.state.document?.labels[key] ?? '';
  }

  isPending(path: Path): boolean {
    return this.#pending.has(path);
  }

  /** What the server holds, as drawn: what waits for a confirmation is not chosen yet. */
  base(path: Path): Answer | undefined {
    const { preferences } = this.state;
    return preferences && !this.#pending.has(path) ? read(preferences.answers, path) : undefined;
  }

  value(path: Path): Answer | undefined {
    const { draft } = this.state;
    return draft.has(path) ? draft.get(path) : this.base(path);
  }

  /** False when the server hides it, or its condition does not hold. */
  isShown({ path, when }: Leaf['shown'][number]): boolean {
    return !this.#hidden.has(path) && (!when || holds(when, this.value(`${when.block}.${when.control}`)));
  }

  /** The name of what can be answered at a path, in words. */
  nameOf(path: Path): string {
    const { document } = this.state;
    const leaf = this.#leaves.get(path);
    if (leaf) return leaf.label;
    for (const block of document?.blocks ?? [])
      for (const control of block.controls) if (path === `${block.id}.${control.name}`) return control.label;
    return '';
  }

  get dirty(): boolean {
    return this.state.draft.size > 0;
  }

  /** Whether there is anything to answer. */
  get canSave(): boolean {
    return this.#leaves.size > 0;
  }

  /** What `undo` takes back: the last save of this page. */
  get receipt(): string | null {
    return this.#receipt;
  }

  // --- what the person does ----------------------------------------------------------------------------------------

  set(path: Path, value: Answer): void {
    const draft = new Map(this.state.draft);
    if (same(value, this.base(path))) draft.delete(path);
    else draft.set(path, value);
    const errors = new Map(this.state.errors);
    errors.delete(path);
    this.#change({ draft, errors, outcome: null });
  }

  discard(): void {
    this.#failed = null;
    this.#change({ draft: new Map(), errors: NOTHING, outcome: null });
  }

  /** What a save would send: the difference, without what is not on screen. */
  difference(): Map<Path, Answer> {
    const difference = new Map<Path, Answer>();
    for (const [path, value] of this.state.draft) {
      const leaf = this.#leaves.get(path);
      if (leaf?.shown.every((part) => this.isShown(part))) difference.set(path, value);
    }
    return difference;
  }

  /** Resolves to whether it is done. */
  save(): Promise<boolean> {
    return this.#next(async () => {
      const sent = this.difference();
      if (!sent.size) {
        this.#change({ errors: NOTHING, outcome: this.#say('nothing_changed') });
        return true;
      }
      // Only what was touched can be missing: an unanswered question must never stand in the way of leaving.
      const missing = [...sent].filter(([path, value]) => isEmpty(value) && this.#leaves.get(path)?.required);
      if (missing.length) {
        this.#change({ errors: new Map(missing.map(([path]) => [path, [this.label('required')]])), outcome: null });
        return false;
      }
      return this.#patch(nest(sent), sent, () => this.save());
    });
  }

  /** Runs an action. Answers go at once and alone; what the person was editing stays. */
  act(action: Do, block: string, receipt = this.#receipt): Promise<boolean> {
    return this.#next(() => {
      if (typeof action === 'object')
        return this.#patch({ [block]: action.answers }, new Map(), () => this.act(action, block));
      return this.#run(async (session) => {
        const name = { undo: 'undo', step_up: 'step-up', export: 'export', erase: 'erasure', request_link: '' }[action];
        const answer = await this.#client.act<Partial<SaveResult> & { text?: string }>(
          session,
          name,
          action === 'undo' ? { receipt } : {},
        );
        if (action === 'export') this.#listener('exported', answer);
        await this.#take(answer, new Map());
        if (answer.text) this.#change({ outcome: { text: answer.text, saved: false, applied: [], merged: [] } });
        if (action === 'erase') {
          this.#keeper.set(null);
          this.#change({ phase: 'closed', preferences: null, draft: new Map() });
        }
      }, null);
    });
  }

  /** The network is back, or the person asks again. */
  async retry(): Promise<boolean> {
    const again = this.#failed;
    this.#failed = null;
    if (again) return again();
    if (this.state.phase === 'failed') await this.load();
    return true;
  }

  // --- loading -----------------------------------------------------------------------------------------------------

  /** Fetches the document and, with a code or a session, the preferences: both at once. */
  async load(code: string | null = null): Promise<void> {
    this.#code = code ?? this.#code;
    this.#change({ phase: 'loading', offline: false, errors: NOTHING, outcome: null });
    const opening = this.#open();
    opening.catch(() => {});
    try {
      if (!this.state.document) this.#change({ document: await this.#client.document(this.#abort.signal) });
      const preferences = await opening;
      if (this.#abort.signal.aborted) return;
      if (typeof preferences === 'string') this.#change({ phase: preferences });
      else await this.#receive(preferences, { phase: 'open' });
      this.#listener('loaded', { revision: this.state.document?.revision, phase: this.state.phase });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#change({ phase: 'failed', offline: error instanceof Offline });
      this.#listener('failed', { during: 'load', status: statusOf(error) });
    }
  }
  #code: string | null = null;

  /** Ends what is under way, except saves: those must arrive. */
  stop(): void {
    this.#abort.abort();
  }

  async #open(): Promise<Preferences | 'closed' | 'expired'> {
    const opening = this.#code && exchange(this.#client, this.#code);
    if (opening) {
      try {
        const opened = await opening;
        this.#keeper.set(opened.session);
        return opened.preferences;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        // Refused: used up by a reload or another tab, or too old. A session kept from before still serves.
      }
    }
    const session = this.#keeper.get();
    if (!session) return this.#code ? 'expired' : 'closed';
    try {
      return await this.#client.preferences(session, this.#abort.signal);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      this.#keeper.set(null);
      return 'expired';
    }
  }

  /** Takes the newest state in; when it is of a newer document, that too. */
  async #receive(preferences: Preferences, also: Partial<State>): Promise<void> {
    let { document } = this.state;
    if (document && document.revision !== preferences.revision) {
      // A cache may still give the old one; then it stays, and the server merges.
      document = await this.#client.document().catch(() => document);
    }
    this.#pending = new Set(preferences.pending);
    this.#hidden = new Set(preferences.hidden);
    this.#leaves = document ? leaves(document, preferences) : new Map();
    this.state = { ...this.state, document, preferences };
    const draft = new Map(also.draft ?? this.state.draft);
    for (const [path, value] of draft) {
      const leaf = this.#leaves.get(path);
      const gone = !leaf || (leaf.keys && [value].flat().some((key) => key && !leaf.keys?.includes(key as string)));
      if (gone || same(value, this.base(path))) draft.delete(path);
    }
    this.#change({ ...also, draft });
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  #next(work: () => Promise<boolean>): Promise<boolean> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn;
    return turn;
  }

  #patch(answers: Answers, sent: Draft, again: () => Promise<boolean>): Promise<boolean> {
    const { document, preferences } = this.state;
    const body = JSON.stringify({ base_version: preferences?.version, revision: document?.revision, answers });
    const key = this.#keys.get(body) ?? randomKey();
    this.#keys.set(body, key);
    return this.#run(async (session) => {
      try {
        await this.#take(await this.#client.save(session, body, key), sent);
        this.#keys.delete(body);
      } catch (error) {
        if (statusOf(error) === 422) this.#keys.delete(body);
        throw error;
      }
    }, again);
  }

  async #take(answer: Partial<SaveResult>, sent: Draft): Promise<void> {
    const { preferences, receipt } = answer;
    if (!preferences) return;
    if (receipt) this.#receipt = receipt;
    // What was edited while the save was on its way stays.
    const draft = new Map([...this.state.draft].filter(([path, value]) => !sent.has(path) || sent.get(path) !== value));
    const applied = answer.applied ?? [];
    await this.#receive(preferences, {
      draft,
      outcome: {
        ...this.#say(receipt || applied.length ? 'saved' : 'nothing_changed'),
        applied,
        merged: [...(answer.merged ?? []), ...(answer.kept ?? [])],
      },
    });
    this.#listener('saved', { version: answer.version, receipt });
  }

  /** Does what needs the session, and turns each way it can fail into state. */
  async #run(work: (session: string) => Promise<void>, again: (() => Promise<boolean>) | null): Promise<boolean> {
    this.#failed = null;
    this.#change({ busy: true, offline: false, errors: NOTHING, outcome: null });
    try {
      await work(this.#keeper.get() ?? '');
      this.#change({ busy: false });
      return true;
    } catch (error) {
      const status = statusOf(error);
      const then: Partial<State> = { busy: false };
      if (error instanceof Offline) {
        this.#failed = again;
        this.#change({ ...then, offline: true, outcome: this.#say('offline') });
      } else if (status === 401) {
        this.#keeper.set(null);
        this.#change({ ...then, phase: 'expired' });
      } else {
        this.#change({ ...then, errors: this.#explain(error) });
      }
      this.#listener('failed', { during: 'save', status });
      return false;
    }
  }

  #explain(error: unknown): ReadonlyMap<Path, readonly string[]> {
    if (error instanceof Problem) {
      if (error.errors.size) return error.errors;
      const { status, body } = error;
      if (status === 429) return new Map([['', [this.label('too_many')]]]);
      const words = body.detail ?? body.title;
      if (status < 500 && words) return new Map([['', [words]]]);
    }
    return new Map([['', [this.label('server_error')]]]);
  }

  #say(key: LabelKey): Outcome {
    return { text: this.label(key), saved: key === 'saved', applied: [], merged: [] };
  }

  #change(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    if (!this.#abort.signal.aborted) this.#listener();
  }
}

function statusOf(error: unknown): number {
  return error instanceof Problem ? error.status : 0;
}

/** `crypto.randomUUID` is missing on plain http. */
function randomKey(): string {
  return (
    crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join('-')
  );
}
