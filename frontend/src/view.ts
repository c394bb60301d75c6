import type { Control, Do } from './api/types.ts';
import type { Path } from './state/answers.ts';
import type { Store } from './state/store.ts';

/** What the components see of the element. */
export interface View {
  readonly store: Store;
  /** Whether answers may change now. */
  readonly enabled: boolean;
  /** Absolute; also the base of the document's links. */
  readonly pageUrl: string;
  act(action: Do, block: string, label: string, receipt?: string): void;
  save(): void;
  retry(): void;
  /** Moves the focus to the field at a path. */
  goTo(path: Path): void;
}

export interface ControlProps<C = Control> {
  control: C;
  block: string;
  /** `block.control`. */
  path: Path;
  view: View;
}
