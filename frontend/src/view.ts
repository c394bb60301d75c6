/** JSX for superfine: our tags, attributes and components become its vnodes. Everything that draws goes through here. */
import { patch, text, type VNode, h as vnode } from 'superfine';
import type { Elements } from './attributes.ts';

export type { VNode };
/** What a component gives back: nothing is fine, too. */
export type Child = VNode | string | number | boolean | null | undefined | readonly Child[];
export type Component<Props> = (props: Props) => Child;

/** What superfine must set as a property: it compares these with the live input. `key` and listeners are its own. */
const LIVE = /^(key|value|checked|selected|on.+)$/;

/**
 * An element, or what a component draws: it is called at once.
 *
 * Superfine sets a property where a node has one, and one that is gone stays behind as an empty string: a link to
 * nowhere, a `maxlength` of 0. Names of properties know case, names of attributes in HTML do not. So all but the live
 * ones go in capitals and become attributes, which can be removed. Without prototypes, for a page may have polluted
 * that of all objects; and a key may be `constructor`.
 */
export function h(tag: string | Component<never>, props: object | null, ...children: Child[]): Child {
  if (typeof tag === 'function') {
    const given: { key?: string } = { __proto__: null, ...props, children } as object;
    const { key } = given;
    // The key is not for the component: it may hand its props on.
    delete given.key;
    const drawn = tag(given as never);
    if (key !== undefined && isVNode(drawn)) drawn.key = `.${key}`;
    return drawn;
  }
  const attributes: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (LIVE.test(name)) attributes[name.toLowerCase()] = name === 'key' ? `.${value}` : value;
    else if ((value ?? false) !== false) attributes[name.toUpperCase()] = value === true ? '' : value;
  }
  return vnode(tag, attributes, (children.flat(9) as Child[]).map(toVNode));
}

/** Where the compiler looks for the types of JSX. */
export declare namespace h {
  namespace JSX {
    type Element = Child;
    type ElementType = keyof Elements | Component<never>;
    type IntrinsicElements = Elements;
    interface IntrinsicAttributes {
      key?: string;
    }
    interface ElementChildrenAttribute {
      children: unknown;
    }
  }
}

/** Several children without an element around them. */
export const Fragment: Component<{ children?: Child }> = ({ children }) => children;

/** Draws into a root, over what was drawn there before. */
export function render(view: Child, root: ShadowRoot | Element): void {
  if (!root.firstChild) root.append('');
  patch(root.firstChild as ChildNode, toVNode(view));
}

const kept = new WeakMap<object, Map<string, { from: readonly unknown[]; made: unknown }>>();

/**
 * What `make` made for this key of this owner, as long as all that it is made from is the very same: superfine skips
 * a vnode that it has seen. The vnode needs a key, and must stay among the same neighbours.
 */
export function keep<T>(owner: object, key: string, from: readonly unknown[], make: () => T): T {
  const own = kept.get(owner) ?? new Map();
  kept.set(owner, own);
  const before = own.get(key);
  if (before?.from.every((one: unknown, index: number) => one === from[index])) return before.made;
  const made = make();
  own.set(key, { from, made });
  return made;
}

function isVNode(child: Child): child is VNode {
  return typeof child === 'object' && child !== null && 'tag' in child;
}

/** What is not there holds its place as an empty text, so that the neighbours without a key keep theirs. */
function toVNode(child: Child): VNode {
  return isVNode(child) ? child : text(typeof child === 'boolean' ? '' : `${child ?? ''}`);
}
