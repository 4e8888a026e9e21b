/** The home screen: who you are, which rooms are on this network, Play, and what to do when nobody is there. */
import type { DiscoveryState, NetworkCheck, RoomListing } from 'lanista';
import { shownName } from '../../rules/names.ts';
import { css, cssPatterns, cssPatternSizes, paintColor, paintNames } from '../look/palette.ts';
import { keepSettings } from '../settings.ts';
import type { Settings } from '../settings.ts';
import { element } from './element.ts';
import { NetworkCheckView } from './network-check.ts';
import { PhoneCode } from './phones.ts';
import { RoomList } from './room-list.ts';

/** What the screen asks for. */
export interface HomeActions {
  play(): Promise<void>;
  join(target: RoomListing | string): Promise<void>;
  diagnose(): Promise<readonly NetworkCheck[]>;
}

const title = 'CHROMA RUSH';
/** Who leaves the field empty. */
const nameless = 'Pip';
const arrows = new Map([
  ['ArrowRight', 1],
  ['ArrowDown', 1],
  ['ArrowLeft', 7],
  ['ArrowUp', 7],
]);

export class HomeView {
  readonly root: HTMLElement;
  readonly #settings: Settings;
  readonly #actions: HomeActions;
  readonly #rooms = new RoomList((room) => void this.run(() => this.#actions.join(room)));
  readonly #quiet = element('p', { class: 'quiet' }, 'Looking around…');
  readonly #problem = element('p', { class: 'problem', role: 'alert', hidden: true });
  readonly #phones = new PhoneCode();
  readonly #play: HTMLButtonElement;
  readonly #swatches: HTMLButtonElement[];
  #busy = false;
  #known: readonly RoomListing[] = [];

  constructor(settings: Settings, actions: HomeActions) {
    this.#settings = settings;
    this.#actions = actions;
    this.#play = element('button', { class: 'primary', id: 'play', onclick: () => void this.run(() => this.#actions.play()) }, 'Play');
    this.#swatches = Array.from({ length: 8 }, (_, hue) => this.#swatch(hue));
    this.root = element(
      'div',
      { class: 'home' },
      element(
        'div',
        { class: 'home-inner' },
        this.#logo(),
        element('p', { class: 'tagline' }, 'Paint the floor. Most floor wins. Everybody on this network can join.'),
        element('div', { class: 'cards' }, this.#you(), this.#network()),
        element(
          'p',
          { class: 'keys' },
          'WASD or arrows move  ·  mouse aims and fires, right button dashes  ·  or Space and Shift  ·  or gamepad, or touch',
        ),
        element('p', { class: 'keys thumbs' }, 'Left thumb moves  ·  right thumb aims and fires  ·  a button dashes'),
      ),
    );
    this.#mark();
  }

  /** The live list. */
  show(rooms: readonly RoomListing[], discovery: DiscoveryState): void {
    this.#known = rooms;
    this.#rooms.show(rooms);
    this.#quiet.hidden = rooms.length > 0;
    this.#quiet.textContent =
      discovery.level === 'ok'
        ? 'No room yet. Press Play: yours will show up on every screen of this network.'
        : ['No room found yet.', ...discovery.reasons].join(' ');
  }

  /** Runs what a button asked for, one at a time, and shows what went wrong in words. */
  async run(act: () => Promise<void>): Promise<void> {
    if (this.#busy) return;
    this.#setBusy(true);
    this.#problem.hidden = true;
    try {
      await act();
    } catch (error) {
      this.tell(error instanceof Error ? error.message : String(error));
    } finally {
      this.#setBusy(false);
    }
  }

  /** Not `disabled`: that would take the focus from the button just pressed. */
  #setBusy(busy: boolean): void {
    this.#busy = busy;
    this.root.setAttribute('aria-busy', String(busy));
    this.#play.setAttribute('aria-disabled', String(busy));
    this.#play.textContent = busy ? 'Joining…' : 'Play';
  }

  /** Shows what is wrong, in words; nothing when it is right again. */
  tell(problem: string): void {
    this.#problem.textContent = problem;
    this.#problem.hidden = problem === '';
    // On a small screen it stands below the fold.
    this.#problem.scrollIntoView({ block: 'nearest' });
  }

  /** Where Enter begins the next game: the button that left the last one is gone. */
  focus(): void {
    this.#play.focus({ preventScroll: true });
  }

  #logo(): HTMLElement {
    const letters = title
      .split('')
      .map((letter, i) =>
        element(
          'span',
          { style: `color: ${css(paintColor((i % 8) + 1))}; animation-delay: ${i * -0.17}s; ${letter === ' ' ? 'width: 0.28em' : ''}` },
          letter,
        ),
      );
    return element('h1', { class: 'logo', 'aria-label': 'Chroma Rush' }, ...letters);
  }

  #you(): HTMLElement {
    const name = element('input', {
      class: 'field space',
      id: 'name',
      autocomplete: 'off',
      spellcheck: 'false',
      placeholder: nameless,
      value: this.#settings.name,
    });
    name.addEventListener('input', () => {
      this.#settings.name = shownName(name.value) || nameless;
      keepSettings(this.#settings);
    });
    // What the others will read, before they do.
    name.addEventListener('change', () => (name.value = shownName(name.value)));
    name.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.#play.click();
    });
    const paints = element('div', { class: 'swatches', role: 'radiogroup', 'aria-labelledby': 'paint-label' }, ...this.#swatches);
    paints.addEventListener('keydown', (event) => this.#onArrow(event));
    return element(
      'section',
      { class: 'card', 'aria-label': 'You' },
      element('label', { for: 'name' }, 'Your name'),
      name,
      element('span', { class: 'label', id: 'paint-label' }, 'Your paint'),
      paints,
      this.#play,
      this.#problem,
    );
  }

  #network(): HTMLElement {
    const address = element('input', {
      class: 'field',
      id: 'address',
      placeholder: '192.168.1.20:41234',
      'aria-label': 'Address of a friend',
      autocomplete: 'off',
    });
    const join = (): void => {
      const target = address.value.trim();
      if (target !== '') void this.run(() => this.#actions.join(target));
    };
    address.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') join();
    });
    const tips = [
      'Both machines must be on the same network; guest Wi-Fi often keeps its guests apart.',
      'Let Node.js through the firewall when the system asks (UDP, private networks).',
      'A VPN can hide the local network: pause it, or start with --interface and your LAN address.',
      'Still nothing? Type the address that your friend’s terminal prints:',
    ];
    return element(
      'section',
      { class: 'card', 'aria-label': 'Rooms' },
      element('h2', {}, element('span', { class: 'pulse', 'aria-hidden': 'true' }), 'Found on this network'),
      this.#rooms.root,
      this.#quiet,
      this.#phones.root,
      element(
        'details',
        {},
        element('summary', {}, 'Can’t see your friends?'),
        new NetworkCheckView(() => this.#actions.diagnose()).root,
        element('ul', {}, ...tips.map((tip) => element('li', {}, tip))),
        element('div', { class: 'row' }, address, element('button', { class: 'small', onclick: join }, 'Join')),
      ),
    );
  }

  #swatch(hue: number): HTMLButtonElement {
    const paint = hue + 1;
    const size = cssPatternSizes[paint];
    const button = element('button', {
      class: 'swatch',
      role: 'radio',
      'aria-label': paintNames[paint] ?? 'paint',
      style: `--paint: ${css(paintColor(paint))}; background-image: ${cssPatterns[paint] ?? 'none'};${size ? ` background-size: ${size};` : ''}`,
      onclick: () => this.#choose(hue),
    });
    return button;
  }

  #choose(hue: number): void {
    this.#settings.hue = hue;
    keepSettings(this.#settings);
    this.#mark();
  }

  /** Arrows choose, and Tab goes past all eight, as in every group of radio buttons. */
  #onArrow(event: KeyboardEvent): void {
    const step = arrows.get(event.code);
    if (step === undefined) return;
    event.preventDefault();
    this.#choose((this.#settings.hue + step) % 8);
    this.#swatches[this.#settings.hue]?.focus();
  }

  #mark(): void {
    this.#swatches.forEach((swatch, hue) => {
      swatch.setAttribute('aria-checked', String(hue === this.#settings.hue));
      swatch.tabIndex = hue === this.#settings.hue ? 0 : -1;
    });
    document.documentElement.style.setProperty('--accent', css(paintColor(this.#settings.hue + 1)));
  }

  /** The link for phones, when they may play along. */
  invite(link: string | undefined): void {
    void this.#phones.show(link);
  }

  /** The rooms shown now. */
  get known(): readonly RoomListing[] {
    return this.#known;
  }
}
