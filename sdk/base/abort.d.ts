/**
 * The part of `AbortController` the core uses. It belongs to no platform (Node, pages and workers all have it), but the compiler knows it
 * only from the libraries of platforms, which are closed to this layer. Never emitted: users see their platform's own.
 */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: any;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

interface AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare var AbortController: new () => AbortController;
