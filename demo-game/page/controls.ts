/**
 * Keyboard, mouse, gamepad and touch become one `Input` per frame. Whatever was used last decides the aim.
 *
 *   WASD or arrows move · mouse aims, left button fires, right one dashes · Space fires where you aim · Shift dashes
 *   without a hand on the mouse the aim is where you walk
 *   gamepad: left stick or cross moves, right stick aims and fires, A fires, B dashes
 *   touch: left half is a stick, right half aims and fires, a button dashes
 */
import { shotRange } from '../rules/shots.ts';
import type { Input } from '../rules/movement.ts';
import type { BlobView } from '../rules/match.ts';

/** What tests (and the curious) press through `window.chroma.press`. */
export interface Pressed {
  readonly x?: number;
  readonly y?: number;
  readonly fire?: boolean;
  readonly dash?: boolean;
  readonly aim?: number;
}

const deadZone = 0.2;
/** A dash asked for by a tap or a click waits this long: a fast screen reads the controls more often than the blob steps. */
const dashMs = 120;
/** WASD and a mouse at rest this long: there is no hand on it. The arrows need both hands at once. */
const restMs = 3000;
const codes = new Set(['KeyW', 'KeyA', 'KeyS', 'KeyD', 'ArrowUp', 'ArrowLeft', 'ArrowDown', 'ArrowRight', 'Space', 'ShiftLeft', 'ShiftRight']);

interface Touching {
  readonly id: number;
  readonly startX: number;
  readonly startY: number;
  x: number;
  y: number;
}

export class Controls implements Disposable {
  readonly #keys = new Set<string>();
  readonly #off = new AbortController();
  readonly #stick: HTMLElement;
  readonly #dashButton: HTMLButtonElement;
  readonly #surface: HTMLElement;
  #mouse: { x: number; y: number; down: boolean } | undefined;
  #mouseAt = Number.NEGATIVE_INFINITY;
  #source: 'mouse' | 'keys' | 'touch' | 'pad' = 'keys';
  #move: Touching | undefined;
  #aimTouch: Touching | undefined;
  #dashUntil = Number.NEGATIVE_INFINITY;
  #active = false;
  #aim = 0;
  #pressed: Pressed | undefined;

  constructor(surface: HTMLElement, ui: HTMLElement) {
    const signal = this.#off.signal;
    this.#surface = surface;
    this.#stick = document.createElement('div');
    this.#stick.className = 'stick';
    this.#stick.hidden = true;
    this.#stick.append(document.createElement('i'));
    this.#dashButton = document.createElement('button');
    this.#dashButton.className = 'touch-dash';
    this.#dashButton.textContent = 'Dash';
    this.#dashButton.hidden = true;
    this.#dashButton.addEventListener('pointerdown', () => this.#dashSoon(), { signal });
    ui.append(this.#stick, this.#dashButton);
    addEventListener('keydown', (event) => this.#onKey(event, true), { signal });
    addEventListener('keyup', (event) => this.#onKey(event, false), { signal });
    addEventListener('blur', () => this.#letGo(), { signal });
    surface.addEventListener('pointerdown', (event) => this.#onDown(event), { signal });
    addEventListener('pointermove', (event) => this.#onMove(event), { signal });
    for (const type of ['pointerup', 'pointercancel'] as const) addEventListener(type, (event) => this.#onUp(event), { signal });
    surface.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
  }

  /** Whether there is a blob to steer. Elsewhere all keys are the page's. */
  set active(active: boolean) {
    this.#active = active;
    this.#letGo();
  }

  /** Presses keys by program until the next call; an empty object lets go. */
  press(pressed: Pressed): void {
    this.#pressed = Object.keys(pressed).length === 0 ? undefined : pressed;
  }

  /** What was pressed by program, if anything is: the only input a page has while it is hidden. */
  get programmed(): Input | undefined {
    return this.#pressed === undefined ? undefined : this.#fromPressed(this.#pressed);
  }

  /** The input of this frame. `toWorld` turns a point of the page into a point of the arena. */
  read(
    self: { readonly x: number; readonly y: number },
    others: readonly BlobView[],
    toWorld: (x: number, y: number) => { readonly x: number; readonly y: number },
  ): Input {
    const { programmed } = this;
    if (programmed !== undefined) return programmed;
    const pad = this.#readPad();
    const keys = this.#readKeys();
    const touch = this.#readTouch();
    const move = pad.moving ? pad : touch.moving ? touch : keys;
    let fire = keys.fire || pad.fire;
    if (this.#source === 'mouse' && this.#mouse !== undefined) {
      const at = toWorld(this.#mouse.x, this.#mouse.y);
      this.#aim = Math.atan2(at.y - self.y, at.x - self.x);
      fire ||= this.#mouse.down;
    } else if (this.#source === 'pad' && pad.aiming) this.#aim = pad.aim;
    else if (this.#source === 'touch') {
      const drag = this.#aimTouch;
      if (drag !== undefined) {
        fire = true;
        const dx = drag.x - drag.startX;
        const dy = drag.y - drag.startY;
        this.#aim = Math.hypot(dx, dy) > 14 ? Math.atan2(dy, dx) : (nearestAim(self, others) ?? this.#aim);
      } else if (move.moving) this.#aim = Math.atan2(move.y, move.x);
    } else if (move.moving) this.#aim = Math.atan2(move.y, move.x);
    const dash = keys.dash || pad.dash || performance.now() < this.#dashUntil;
    return { moveX: move.x, moveY: move.y, aim: this.#aim, fire, dash };
  }

  [Symbol.dispose](): void {
    this.#off.abort();
    this.#stick.remove();
    this.#dashButton.remove();
  }

  #fromPressed(pressed: Pressed): Input {
    const x = pressed.x ?? 0;
    const y = pressed.y ?? 0;
    if (pressed.aim !== undefined) this.#aim = pressed.aim;
    else if (x !== 0 || y !== 0) this.#aim = Math.atan2(y, x);
    return { moveX: x, moveY: y, aim: this.#aim, fire: pressed.fire ?? false, dash: pressed.dash ?? false };
  }

  #letGo(): void {
    this.#keys.clear();
    if (this.#mouse !== undefined) this.#mouse.down = false;
    this.#move = undefined;
    this.#aimTouch = undefined;
    this.#stick.hidden = true;
    this.#dashUntil = Number.NEGATIVE_INFINITY;
  }

  #dashSoon(): void {
    this.#dashUntil = performance.now() + dashMs;
  }

  #onKey(event: KeyboardEvent, down: boolean): void {
    // While Cmd is held no key that is let go is told.
    if (event.key === 'Meta') this.#keys.clear();
    if (!codes.has(event.code)) return;
    if (!down) {
      this.#keys.delete(event.code);
      return;
    }
    if (!this.#active || event.ctrlKey || event.metaKey || event.altKey || belongsTo(event.target, event.code)) return;
    event.preventDefault();
    this.#keys.add(event.code);
    if (event.repeat || event.code === 'Space' || event.code.startsWith('Shift') || this.#mouse?.down === true) return;
    if (event.code.startsWith('Arrow') || performance.now() - this.#mouseAt > restMs) this.#source = 'keys';
  }

  #onDown(event: PointerEvent): void {
    if (event.pointerType === 'mouse') return this.#onMouse(event);
    this.#source = 'touch';
    this.#dashButton.hidden = false;
    const touch: Touching = { id: event.pointerId, startX: event.clientX, startY: event.clientY, x: event.clientX, y: event.clientY };
    if (event.clientX < innerWidth / 2 && this.#move === undefined) {
      this.#move = touch;
      this.#stick.hidden = false;
      this.#stick.style.left = `${touch.startX}px`;
      this.#stick.style.top = `${touch.startY}px`;
    } else this.#aimTouch ??= touch;
  }

  /** A second button pressed or let go while one is held comes as a move. */
  #onMouse(event: PointerEvent): void {
    const onFloor = event.target instanceof Node && this.#surface.contains(event.target);
    const down = (event.buttons & 1) !== 0 && (this.#mouse?.down === true || (event.button === 0 && onFloor));
    if (event.button === 2 && (event.buttons & 2) !== 0 && onFloor) this.#dashSoon();
    // What moves under a mouse at rest makes an event, too.
    const moved = this.#mouse?.x !== event.clientX || this.#mouse.y !== event.clientY || event.button >= 0;
    this.#mouse = { x: event.clientX, y: event.clientY, down };
    if (!moved) return;
    this.#mouseAt = performance.now();
    this.#source = 'mouse';
  }

  #onMove(event: PointerEvent): void {
    if (event.pointerType === 'mouse') return this.#onMouse(event);
    for (const touch of [this.#move, this.#aimTouch]) {
      if (touch?.id !== event.pointerId) continue;
      touch.x = event.clientX;
      touch.y = event.clientY;
    }
  }

  #onUp(event: PointerEvent): void {
    if (event.pointerType === 'mouse') {
      if (this.#mouse !== undefined) this.#mouse.down = false;
      return;
    }
    if (this.#move?.id === event.pointerId) {
      this.#move = undefined;
      this.#stick.hidden = true;
    }
    if (this.#aimTouch?.id === event.pointerId) this.#aimTouch = undefined;
  }

  #readKeys(): { x: number; y: number; moving: boolean; fire: boolean; dash: boolean } {
    const held = (...names: string[]): number => (names.some((name) => this.#keys.has(name)) ? 1 : 0);
    const x = held('KeyD', 'ArrowRight') - held('KeyA', 'ArrowLeft');
    const y = held('KeyS', 'ArrowDown') - held('KeyW', 'ArrowUp');
    return { x, y, moving: x !== 0 || y !== 0, fire: held('Space') > 0, dash: held('ShiftLeft', 'ShiftRight') > 0 };
  }

  #readTouch(): { x: number; y: number; moving: boolean } {
    const touch = this.#move;
    if (touch === undefined) return { x: 0, y: 0, moving: false };
    const reach = 56;
    const dx = (touch.x - touch.startX) / reach;
    const dy = (touch.y - touch.startY) / reach;
    const length = Math.max(1, Math.hypot(dx, dy));
    const knob = this.#stick.firstElementChild;
    if (knob instanceof HTMLElement) knob.style.transform = `translate(${(dx / length) * 40}px, ${(dy / length) * 40}px)`;
    return { x: dx / length, y: dy / length, moving: Math.hypot(dx, dy) > deadZone };
  }

  /** The pad that somebody uses: other devices call themselves one, too. */
  #readPad(): PadState {
    for (const pad of navigator.getGamepads?.() ?? []) {
      if (pad?.connected !== true) continue;
      const state = readPad(pad);
      if (!state.moving && !state.aiming && !state.fire && !state.dash) continue;
      this.#source = 'pad';
      if (state.moving && !state.aiming) this.#aim = Math.atan2(state.y, state.x);
      return state;
    }
    return { x: 0, y: 0, moving: false, aim: 0, aiming: false, fire: false, dash: false };
  }
}

interface PadState {
  readonly x: number;
  readonly y: number;
  readonly moving: boolean;
  readonly aim: number;
  readonly aiming: boolean;
  readonly fire: boolean;
  readonly dash: boolean;
}

function readPad(pad: Gamepad): PadState {
  const axis = (index: number): number => pad.axes[index] ?? 0;
  const button = (index: number): boolean => pad.buttons[index]?.pressed ?? false;
  const cross = { x: Number(button(15)) - Number(button(14)), y: Number(button(13)) - Number(button(12)) };
  const stick = Math.hypot(axis(0), axis(1)) > deadZone ? { x: axis(0), y: axis(1) } : cross;
  const aiming = Math.hypot(axis(2), axis(3)) > 0.4;
  return {
    ...stick,
    moving: stick.x !== 0 || stick.y !== 0,
    aim: Math.atan2(axis(3), axis(2)),
    aiming,
    fire: aiming || button(0) || button(7) || button(5),
    dash: button(1) || button(6) || button(4),
  };
}

/** Whether the focused part of the page wants this key for itself. */
function belongsTo(target: EventTarget | null, code: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches('input[type=range]')) return code.startsWith('Arrow');
  if (target.matches('input:not([type=checkbox])')) return true;
  return code === 'Space' && target.matches('button, input, summary');
}

/** Phones aim by themselves at the nearest blob in reach. */
function nearestAim(self: { readonly x: number; readonly y: number }, others: readonly BlobView[]): number | undefined {
  let best: number | undefined;
  let reach = shotRange;
  for (const blob of others) {
    const distance = Math.hypot(blob.x - self.x, blob.y - self.y);
    if (blob.self || blob.away || blob.state === 'splat' || distance >= reach) continue;
    reach = distance;
    best = Math.atan2(blob.y - self.y, blob.x - self.x);
  }
  return best;
}
