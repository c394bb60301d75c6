/** What we use of superfine 8.2, which has no types of its own. */
declare module 'superfine' {
  export interface VNode {
    readonly tag: string;
    /** Tells it from its neighbours when those come and go. */
    key: string | undefined;
  }

  export function h(tag: string, props: object, children: VNode[]): VNode;
  export function text(value: string): VNode;
  /** Makes the node look like the vnode, and gives back the node, or the one in its place. */
  export function patch(node: ChildNode, vnode: VNode): ChildNode;
}
