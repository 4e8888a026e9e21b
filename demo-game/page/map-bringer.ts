/** Maps of this player: dropped on the page, picked from the disk, or brought along with `npm start -- --map`. */
import { maxMapBytes, readMap } from '../rules/map-file.ts';
import type { Bringing } from '../rules/map-keeper.ts';
import type { Match } from '../rules/match.ts';
import { shorten } from '../rules/names.ts';
import type { Stage } from './stage.ts';
import { element } from './ui/element.ts';
import { Toast } from './ui/toast.ts';

/** Where the process serves the maps it was started with. */
const servedAt = './maps.json';
/** Of the name of a file. */
const fileLetters = 32;
/** The mark that a file may be dropped goes when none has been over the page for this long, ms. */
const hoverMs = 200;

export class MapBringer {
  readonly #stage: Stage;
  readonly #toast = new Toast();
  readonly #input = element('input', { type: 'file', id: 'map-file', accept: '.json,application/json', multiple: true, hidden: true });
  /** Brought to every room that is entered. */
  readonly #luggage: Uint8Array[] = [];
  #packed: Promise<void> = Promise.resolve();
  #hover: ReturnType<typeof setTimeout> | undefined;

  constructor(ui: HTMLElement, stage: Stage) {
    this.#stage = stage;
    ui.append(this.#toast.root, this.#input);
    this.#input.addEventListener('change', () => {
      void this.#take([...(this.#input.files ?? [])]);
      // The same file again, mended, is another choice.
      this.#input.value = '';
    });
    addEventListener('dragover', (event) => this.#onDrag(event));
    addEventListener('drop', (event) => this.#onDrop(event));
    if (stage.options.maps) this.#packed = this.#pack();
  }

  /** Lets the player choose files. */
  pick(): void {
    this.#input.click();
  }

  /** What this player has along comes into the room, unless it is there. */
  async entered(match: Match): Promise<void> {
    await this.#packed;
    for (const bytes of this.#luggage) {
      const brought = await match.maps.bring(bytes, true);
      // It comes along into the next room.
      if (this.#stage.match !== match) return;
      this.#tell('Your map', brought);
    }
  }

  async #pack(): Promise<void> {
    try {
      const served: unknown = await (await fetch(servedAt)).json();
      if (Array.isArray(served)) for (const map of served) this.#luggage.push(new TextEncoder().encode(JSON.stringify(map)));
    } catch {
      this.#toast.say('The maps you brought along could not be read: reload the page.', true);
    }
  }

  async #take(files: readonly File[]): Promise<void> {
    for (const file of files) {
      const name = shorten(file.name, fileLetters);
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await file.slice(0, maxMapBytes + 1).arrayBuffer());
      } catch {
        // A folder, or a file that is gone.
        this.#toast.say(`${name} cannot be read.`, true);
        continue;
      }
      const { match } = this.#stage;
      if (match !== undefined) this.#tell(name, await match.maps.bring(bytes));
      else this.#keep(name, bytes);
    }
  }

  /** On the home screen there is no room yet. */
  #keep(name: string, bytes: Uint8Array): void {
    const { map, problem } = readMap(bytes);
    if (map === undefined) return this.#toast.say(`${name} ${problem}.`, true);
    this.#luggage.push(bytes);
    this.#toast.say(`Your map “${map.name}” comes along when you play`);
  }

  #tell(what: string, bringing: Bringing | undefined): void {
    if (bringing === undefined) return;
    const { name, before, problem } = { before: 0, ...bringing };
    if (problem !== undefined) this.#toast.say(`${what} ${problem}.`, true);
    else this.#toast.say(before === 0 ? `Your map “${name}” is next` : `Your map “${name}” comes after ${before} other${before === 1 ? '' : 's'}`);
  }

  #onDrag(event: DragEvent): void {
    if (event.dataTransfer?.types.includes('Files') !== true) return;
    // Else the browser would show the file instead of the game.
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    document.body.classList.add('dropping');
    clearTimeout(this.#hover);
    this.#hover = setTimeout(() => document.body.classList.remove('dropping'), hoverMs);
  }

  #onDrop(event: DragEvent): void {
    if (event.dataTransfer?.types.includes('Files') !== true) return;
    event.preventDefault();
    document.body.classList.remove('dropping');
    void this.#take([...event.dataTransfer.files]);
  }
}
