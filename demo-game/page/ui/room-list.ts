/**
 * The rooms on this network, live. A room keeps its line from the first time it is heard of to the last: a list made anew at each news
 * would take the focus from a button, and swallow the click that is under way.
 */
import type { RoomListing } from 'lanista';
import { element } from './element.ts';

interface Line {
  readonly root: HTMLElement;
  show(room: RoomListing): void;
}

export class RoomList {
  readonly root = element('ul', { class: 'rooms', 'aria-live': 'polite', id: 'rooms' });
  readonly #lines = new Map<string, Line>();
  readonly #join: (room: RoomListing) => void;

  constructor(join: (room: RoomListing) => void) {
    this.#join = join;
  }

  show(rooms: readonly RoomListing[]): void {
    const gone = new Set(this.#lines.keys());
    for (const room of rooms) {
      gone.delete(room.id);
      let line = this.#lines.get(room.id);
      if (line === undefined) {
        line = createLine(this.#join);
        this.#lines.set(room.id, line);
        this.root.append(line.root);
      }
      line.show(room);
    }
    for (const id of gone) {
      this.#lines.get(id)?.root.remove();
      this.#lines.delete(id);
    }
  }
}

function createLine(join: (room: RoomListing) => void): Line {
  let shown: RoomListing | undefined;
  const name = element('b');
  const facts = element('small');
  const button = element('button', { onclick: () => shown !== undefined && join(shown) });
  const why = element('small', { class: 'why', hidden: true });
  const root = element('li', { class: 'room' }, name, facts, button, why);
  return {
    root,
    show(room) {
      shown = room;
      const label = !room.compatible ? 'Other version' : room.locked ? 'Locked' : room.players >= room.max ? 'Full' : 'Join';
      const may = label === 'Join';
      say(name, room.name);
      say(facts, [`${room.players}/${room.max}`, ...(room.pingMs === undefined ? [] : [`${Math.max(1, Math.round(room.pingMs))} ms`])].join(' · '));
      say(button, label);
      say(why, room.reason === undefined ? '' : `${room.name} ${room.reason}.`);
      button.disabled = !may;
      button.setAttribute('aria-label', may ? `Join ${room.name}` : `${room.name}: ${label.toLowerCase()}`);
      why.hidden = room.reason === undefined;
      // Where one can play stands first.
      root.style.order = may ? '0' : '1';
    },
  };
}

/** Only what is new: a screen reader reads again what is set again. */
function say(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
