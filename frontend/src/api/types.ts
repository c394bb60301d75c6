/**
 * The wire contract, `docs/reference/center-document.md`, as types.
 *
 * Written by hand until the server publishes `openapi.json`; then `npm run schema` makes `schema.gen.ts` and this
 * file only gives its types their names.
 */

/** A sanitised text: strings, and `[tag, attributes, ...children]`. */
export type TreeNode = string | readonly [string, Readonly<Record<string, string>>, ...TreeNode[]];
export type Tree = readonly TreeNode[];

/** The words that the renderer needs. It holds none of its own; a missing one is the empty string. */
export type LabelKey =
  | 'save'
  | 'saving'
  | 'saved'
  | 'nothing_changed'
  | 'discard'
  | 'unsaved'
  | 'loading'
  | 'load_failed'
  | 'retry'
  | 'offline'
  | 'expired_title'
  | 'expired_text'
  | 'request_link'
  | 'open_link'
  | 'error_title'
  | 'server_error'
  | 'too_many'
  | 'merged_title'
  | 'pending'
  | 'locked'
  | 'not_chosen'
  | 'required'
  | 'own_page'
  | 'outlook_title'
  | 'sign_up'
  | 'your_email'
  | 'ends_soon'
  | 'signed_in_as';
export type Labels = Readonly<Partial<Record<LabelKey, string>>>;

export type Scalar = string | number | boolean | null;
/** One value on screen. A matrix has one for each cell. */
export type Answer = Scalar | readonly string[];
/** Answers as they travel: `{block: {control: ...}}`, of any depth. */
export type Answers = { readonly [key: string]: Answer | Answers };

export type Condition = { block: string; control: string } & (
  | { in: readonly Scalar[] }
  | { not_in: readonly Scalar[] }
);

export interface Media {
  src: string;
  alt: string;
  width?: number | null;
  height?: number | null;
}

export interface Option {
  key: string;
  label: string;
  help?: string;
}

export interface Row extends Option {
  media?: Media | null;
  /** The heading this row stands under; rows of one group are neighbours. */
  group?: string;
  locked?: string | null;
  when?: Condition | null;
  /** The columns offered here; null means all. */
  columns?: readonly string[] | null;
}

interface Base {
  name: string;
  label: string;
  help?: string;
  required?: boolean;
  constraints?: {
    min?: number | string | null;
    max?: number | string | null;
    max_length?: number | null;
    /** What a browser may fill in by itself, in the words of HTML. */
    autocomplete?: string | null;
  };
  /** Why it cannot be changed here, in words. */
  locked?: string | null;
  personal?: boolean;
  media?: Media | null;
  when?: Condition | null;
  /** It is about what somebody has already: not for a sign-up. */
  of_contact?: boolean;
}

export type Do = 'undo' | 'step_up' | 'request_link' | 'export' | 'erase' | { answers: Answers };
export type ActionStyle = 'primary' | 'secondary' | 'danger';

export interface ToggleControl extends Base {
  type: 'toggle';
}
export interface OptionsControl extends Base {
  type: 'one_of' | 'many_of' | 'select';
  options: readonly Option[];
}
export interface MatrixControl extends Base {
  type: 'matrix';
  cell: 'toggle' | 'one_of';
  single?: boolean;
  rows: readonly Row[];
  columns: readonly Option[];
}
export interface ScaleControl extends Base {
  type: 'scale';
  min_label?: string;
  max_label?: string;
}
export interface TextControl extends Base {
  type: 'text';
  format?: 'plain' | 'long' | 'email' | 'tel';
}
export interface DateControl extends Base {
  type: 'date';
}
export interface ActionControl extends Base {
  type: 'action';
  style?: ActionStyle;
  do: Do;
}
export interface RichTextControl extends Base {
  type: 'rich_text';
  content: Tree;
}
export interface LinksControl extends Base {
  type: 'links';
  items: readonly { label: string; href: string }[];
}
export interface ImageControl extends Base {
  type: 'image';
}
export interface RecordsControl extends Base {
  type: 'records';
}

export type Control =
  | ToggleControl
  | OptionsControl
  | MatrixControl
  | ScaleControl
  | TextControl
  | DateControl
  | ActionControl
  | RichTextControl
  | LinksControl
  | ImageControl
  | RecordsControl;

export interface Block {
  id: string;
  type: string;
  heading?: string;
  text?: Tree;
  layout?: string | null;
  /** As in a control; then none of its controls is for a sign-up. */
  of_contact?: boolean;
  controls: readonly Control[];
}

export interface CenterDocument {
  format: number;
  center: string;
  revision: string;
  locale: string;
  direction: 'ltr' | 'rtl';
  title: string;
  page_url: string;
  blocks: readonly Block[];
  labels: Labels;
}

/** A button of a record; `receipt` is what its `undo` takes back. */
export interface RecordAction {
  label: string;
  style?: ActionStyle;
  do: Do;
  receipt?: string;
  locked?: string | null;
}

export interface RecordItem {
  title: string;
  when?: string | null;
  lines?: readonly string[];
  actions?: readonly RecordAction[];
}

export interface Preferences {
  version: number;
  revision: string;
  assurance: 'link' | 'fresh';
  contact: { email?: string };
  answers: Answers;
  pending?: readonly string[];
  private?: Readonly<Record<string, Readonly<Record<string, readonly Row[]>>>>;
  hidden?: readonly string[];
  records?: Readonly<Record<string, readonly RecordItem[]>>;
  outlook?: readonly { text: string; kind: string }[];
}

export interface OpenedSession {
  session: string;
  expires_at: string;
  preferences: Preferences;
}

export interface PathText {
  path: string;
  text: string;
}

/** What a save, and an undo, are answered with. */
export interface SaveResult {
  version: number;
  receipt: string | null;
  applied?: readonly PathText[];
  merged?: readonly PathText[];
  /** Undo only: what was not taken back, and why. */
  kept?: readonly PathText[];
  preferences: Preferences;
}

/** What asking for a link, and signing up, are answered with, whoever asks. */
export interface Accepted {
  text?: string;
}

/** RFC 9457, with the errors of a 422. */
export interface ProblemBody {
  type?: string;
  title?: string;
  detail?: string;
  errors?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}
