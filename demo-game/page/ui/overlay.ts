/** Over a running match: buttons in the corner, settings, the table of a finished round, and the network at F3. */
import type { NetworkCheck } from 'lanista';
import type { Match } from '../../rules/match.ts';
import { settledMs } from '../../rules/wearing.ts';
import { emotes } from '../scenes/arena.ts';
import { keepSettings } from '../settings.ts';
import type { Settings } from '../settings.ts';
import type { Synth } from '../sound/synth.ts';
import { element } from './element.ts';
import { NetworkCheckView } from './network-check.ts';
import { Scores } from './scores.ts';

/** What the overlay asks for. */
export interface OverlayActions {
  leave(): void;
  /** Lets the player choose a map file. */
  addMap(): void;
  diagnose(): Promise<readonly NetworkCheck[]>;
}

export class MatchOverlay implements Disposable {
  readonly #ui: HTMLElement;
  readonly #match: Match;
  readonly #settings: Settings;
  readonly #synth: Synth;
  readonly #corner: HTMLElement;
  readonly #panel: HTMLElement;
  /** For who has no Enter key at hand. */
  readonly #ready = element('button', { id: 'ready', hidden: true, onclick: () => this.#toggleReady() });
  readonly #net = element('div', { class: 'net', hidden: true });
  /** Shown by the style sheet where the arena would be a narrow strip. */
  readonly #turn = element('p', { class: 'turn' }, 'Turn your phone sideways: the arena is wide.');
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #off = new AbortController();
  /** Who played which paint this round, so that the table can name those who left. */
  readonly #names = new Map<number, Set<string>>();
  /** What each blob wears, and since when on this page's clock. */
  readonly #worn = new Map<number, { readonly name: string; readonly paint: number; readonly since: number }>();
  #scores: Scores | undefined;

  constructor(ui: HTMLElement, match: Match, settings: Settings, synth: Synth, actions: OverlayActions) {
    this.#ui = ui;
    this.#match = match;
    this.#settings = settings;
    this.#synth = synth;
    const mute = element('button', { id: 'mute', 'aria-pressed': String(settings.muted) }, settings.muted ? 'Sound off' : 'Sound on');
    const setMuted = (muted: boolean): void => {
      settings.muted = muted;
      mute.textContent = muted ? 'Sound off' : 'Sound on';
      mute.setAttribute('aria-pressed', String(muted));
      this.#apply();
    };
    mute.addEventListener('click', () => {
      setMuted(!settings.muted);
      mute.blur();
    });
    // Who moves the slider wants to hear something.
    this.#panel = this.#settingsPanel(() => setMuted(false));
    this.#panel.append(this.#mapLine(actions.addMap), new NetworkCheckView(actions.diagnose).root);
    const open = element('button', { id: 'settings', onclick: () => this.#toggleSettings() }, 'Settings');
    this.#corner = element(
      'nav',
      { class: 'corner', 'aria-label': 'Game' },
      this.#ready,
      mute,
      open,
      element('button', { id: 'leave', onclick: actions.leave }, 'Leave'),
    );
    ui.append(this.#turn, this.#net, this.#panel, this.#corner);
    addEventListener('keydown', (event) => this.#onKey(event), { signal: this.#off.signal });
    this.#timer = setInterval(() => this.#refresh(), 250);
    this.#apply();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#off.abort();
    this.#scores?.[Symbol.dispose]();
    for (const node of [this.#turn, this.#net, this.#panel, this.#corner]) node.remove();
  }

  #apply(): void {
    this.#synth.level = this.#settings.muted ? 0 : this.#settings.volume;
    keepSettings(this.#settings);
  }

  #settingsPanel(unmute: () => void): HTMLElement {
    const settings = this.#settings;
    const check = (label: string, key: 'strongPatterns' | 'reducedMotion'): HTMLElement => {
      const box = element('input', { type: 'checkbox' });
      box.checked = settings[key];
      box.addEventListener('change', () => {
        settings[key] = box.checked;
        this.#apply();
      });
      return element('label', { class: 'line' }, box, label);
    };
    const volume = element('input', { type: 'range', min: 0, max: 1, step: 0.05, value: settings.volume, 'aria-label': 'Volume' });
    volume.addEventListener('input', () => {
      settings.volume = Number(volume.value);
      unmute();
    });
    return element(
      'section',
      { class: 'card settings', 'aria-label': 'Settings', hidden: true },
      element('h2', {}, 'Settings'),
      element('label', { class: 'line' }, 'Volume', volume),
      check('Bold patterns on paint', 'strongPatterns'),
      check('No screen shake', 'reducedMotion'),
      element(
        'p',
        { class: 'quiet' },
        'WASD or arrows: move · mouse: aim, fire · Shift or right button: dash · Enter: ready · 1 to 4: emotes · F3: network',
      ),
    );
  }

  #mapLine(addMap: () => void): HTMLElement {
    const choose = (): void => {
      // What becomes of the map is told where the panel is.
      this.#toggleSettings();
      addMap();
    };
    const hint = element('small', { class: 'quiet drop-hint' }, 'or drop its file here');
    return element('div', { class: 'line' }, element('button', { class: 'small', onclick: choose }, 'Add a map…'), hint);
  }

  #toggleSettings(): void {
    this.#panel.hidden = !this.#panel.hidden;
    // A button or slider that keeps the focus would keep Space and the arrows from the game.
    if (this.#panel.hidden && document.activeElement instanceof HTMLElement) document.activeElement.blur();
  }

  #toggleReady(): void {
    const { room } = this.#match;
    room.setPresence({ ready: !room.self.presence.ready });
    this.#ready.blur();
    this.#refresh();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // The browser would open its search.
    if (event.code === 'F3') event.preventDefault();
    if (event.repeat) return;
    if (event.code === 'Escape') this.#toggleSettings();
    else if (event.code === 'F3') {
      this.#net.hidden = !this.#net.hidden;
      this.#refresh();
    } else if (event.code === 'Enter') {
      const pressesIt = event.target instanceof HTMLElement && event.target.matches('button, summary');
      if (!pressesIt && this.#match.round?.phase === 'lobby') this.#toggleReady();
    } else if (/^Digit[1-4]$/u.test(event.code)) this.#match.emote((Number(event.code.slice(5)) - 1) % emotes.length);
  }

  #refresh(): void {
    if (this.#match.room.signal.aborted) return;
    const round = this.#match.round;
    this.#ready.hidden = round?.phase !== 'lobby';
    const { ready } = this.#match.room.self.presence;
    this.#ready.textContent = ready ? 'Ready' : 'I am ready';
    this.#ready.setAttribute('aria-pressed', String(ready));
    if (round?.phase === 'lobby') this.#names.clear();
    this.#noteNames(performance.now(), round?.phase !== 'lobby');
    if (round?.phase === 'scores') this.#showScores(round.endsAt);
    else if (this.#scores !== undefined) {
      this.#scores[Symbol.dispose]();
      this.#scores = undefined;
    }
    if (!this.#net.hidden) this.#showNet();
  }

  /** Of who comes into a running round the first paint is not always the one to stay in. */
  #noteNames(now: number, running: boolean): void {
    for (const { who, name, paint } of this.#match.blobs()) {
      let worn = this.#worn.get(who);
      if (worn?.paint !== paint || worn.name !== name) this.#worn.set(who, (worn = { name, paint, since: now }));
      if (running && now - worn.since >= settledMs) this.#names.set(paint, (this.#names.get(paint) ?? new Set()).add(name));
    }
  }

  #showScores(endsAt: number): void {
    this.#scores ??= new Scores(this.#ui, this.#match, this.#names, (won) => this.#synth.jingle(won));
    this.#scores.refresh(Math.max(0, Math.ceil((endsAt - this.#match.room.clock.now()) / 1000)));
  }

  #showNet(): void {
    const { room } = this.#match;
    const stats = room.stats();
    const head = element('tr', {}, ...['peer', 'slot', 'rtt', 'jitter', 'loss', 'delay', 'via'].map((text) => element('th', {}, text)));
    const rows = [...room.peers.values()].map((peer) => {
      const link = stats.peers.get(peer.id);
      const cells = [
        `${peer.presence.name ?? '…'}${peer.isSelf ? ' (you)' : ''}${peer.isHost ? ' (host)' : ''}${peer.status === 'away' ? ' (away)' : ''}`,
        String(peer.slot),
        ...(link === undefined
          ? ['', '', '', '']
          : [
              `${link.rttMs.toFixed(1)} ms`,
              `${link.jitterMs.toFixed(1)} ms`,
              `${(link.lossInRatio * 100).toFixed(1)} %`,
              `${link.interpolationDelayMs.toFixed(0)} ms`,
            ]),
        peer.isSelf ? '' : peer.via === undefined ? 'direct' : (room.peers.get(peer.via)?.presence.name ?? 'relay'),
      ];
      return element('tr', {}, ...cells.map((text) => element('td', {}, text)));
    });
    const drops = Object.entries(stats.drops)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', ');
    const { counts } = this.#match.sync;
    this.#net.replaceChildren(
      element('table', {}, head, ...rows),
      element(
        'div',
        {},
        `clock ±${room.clock.errorMs.toFixed(1)} ms · entities ${stats.entities} · state out ${(stats.stateBytesOut / 1024).toFixed(0)} KiB · repaired ${counts.cells} cells in ${counts.chunks} chunks`,
      ),
      element('div', {}, drops === '' ? 'nothing refused' : `refused: ${drops}`),
    );
  }
}
