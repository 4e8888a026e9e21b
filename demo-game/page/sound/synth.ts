/**
 * All sound, made when it is needed: noise through a filter for paint, short oscillators for the rest.
 * Browsers allow sound only after a gesture, so the context is made at the first one.
 */
import type { Effect } from '../../rules/effects.ts';

/** Most sounds at once; a bomb in a crowd must not become noise. */
const mostVoices = 14;
/** A-minor pentatonic, Hz. */
const scale = [220, 261.6, 293.7, 329.6, 392, 440, 523.3, 587.3, 659.3, 784];

export class Synth {
  #context: AudioContext | undefined;
  #out: GainNode | undefined;
  #noise: AudioBuffer | undefined;
  #voices = 0;
  #level = 0.6;

  /** Call from a gesture. */
  unlock(): void {
    if (this.#context !== undefined) {
      if (this.#context.state === 'suspended') void this.#context.resume();
      return;
    }
    if (typeof AudioContext === 'undefined') return;
    const context = new AudioContext({ latencyHint: 'interactive' });
    const squash = context.createDynamicsCompressor();
    const out = context.createGain();
    out.gain.value = this.#level;
    out.connect(squash).connect(context.destination);
    const noise = context.createBuffer(1, context.sampleRate / 2, context.sampleRate);
    const samples = noise.getChannelData(0);
    for (let i = 0; i < samples.length; i++) samples[i] = Math.random() * 2 - 1;
    this.#context = context;
    this.#out = out;
    this.#noise = noise;
  }

  /** 0 to 1. */
  set level(level: number) {
    this.#level = level;
    if (this.#out !== undefined) this.#out.gain.value = level;
  }

  /** Plays an effect. `near`: 0 far away to 1 at the own blob. */
  play(effect: Effect, near: number): void {
    const gain = 0.25 + near * 0.75;
    switch (effect.type) {
      case 'shot':
        this.#tone(620, 240, 0.09, 0.1 * gain, 'triangle');
        break;
      case 'splash':
        this.#splat(900, 0.16, 0.22 * gain);
        break;
      case 'burst':
        this.#splat(380, 0.45, 0.55 * gain);
        this.#tone(180, 50, 0.35, 0.25 * gain, 'sine');
        break;
      case 'hurt':
        this.#tone(300, 120, 0.14, 0.25 * gain, 'square');
        break;
      case 'dash':
        this.#tone(140, 520, 0.18, 0.14 * gain, 'sawtooth');
        break;
      case 'dry':
        this.#tone(110, 90, 0.07, 0.12 * gain, 'square');
        break;
      case 'respawn':
        this.#run([0, 2, 4], 0.06, 0.12 * gain);
        break;
      case 'pickup':
        this.#run([4, 6, 8, 9], 0.05, 0.16 * gain);
        break;
      case 'kick':
        this.#tone(210, 330, 0.1, 0.2 * gain, 'sine');
        break;
      case 'emote':
        this.#run([5, 7], 0.08, 0.12);
        break;
      case 'phase':
        break;
      default:
        effect.type satisfies never;
    }
  }

  /** One second of a countdown. */
  tick(last: boolean): void {
    this.#tone(last ? 880 : 440, last ? 880 : 440, last ? 0.4 : 0.12, 0.22, 'triangle');
  }

  /** The end of a round, in a major mood for the winner. */
  jingle(won: boolean): void {
    this.#run(won ? [0, 2, 4, 5, 7, 9] : [5, 4, 2, 0], 0.12, 0.2);
  }

  #run(steps: readonly number[], each: number, gain: number): void {
    steps.forEach((step, i) => this.#tone(scale[step] ?? 440, scale[step] ?? 440, each * 2.2, gain, 'triangle', i * each));
  }

  #tone(from: number, to: number, seconds: number, gain: number, type: OscillatorType, delay = 0): void {
    const context = this.#context;
    const out = this.#out;
    if (context === undefined || out === undefined || this.#voices >= mostVoices) return;
    const at = context.currentTime + delay;
    const oscillator = context.createOscillator();
    oscillator.type = type;
    oscillator.frequency.setValueAtTime(from, at);
    oscillator.frequency.exponentialRampToValueAtTime(Math.max(20, to), at + seconds);
    oscillator.connect(envelope(context, at, seconds, gain)).connect(out);
    this.#start(oscillator, at, seconds);
  }

  #splat(frequency: number, seconds: number, gain: number): void {
    const context = this.#context;
    const out = this.#out;
    if (context === undefined || out === undefined || this.#noise === undefined || this.#voices >= mostVoices) return;
    const at = context.currentTime;
    const source = context.createBufferSource();
    source.buffer = this.#noise;
    source.loop = true;
    const filter = context.createBiquadFilter();
    filter.type = 'bandpass';
    filter.Q.value = 1.4;
    filter.frequency.setValueAtTime(frequency * (0.8 + Math.random() * 0.5), at);
    filter.frequency.exponentialRampToValueAtTime(frequency * 0.25, at + seconds);
    source
      .connect(filter)
      .connect(envelope(context, at, seconds, gain))
      .connect(out);
    this.#start(source, at, seconds);
  }

  #start(source: AudioScheduledSourceNode, at: number, seconds: number): void {
    this.#voices++;
    source.addEventListener('ended', () => this.#voices--, { once: true });
    source.start(at);
    source.stop(at + seconds + 0.02);
  }
}

function envelope(context: AudioContext, at: number, seconds: number, gain: number): GainNode {
  const node = context.createGain();
  node.gain.setValueAtTime(0.0001, at);
  node.gain.exponentialRampToValueAtTime(gain, at + 0.008);
  node.gain.exponentialRampToValueAtTime(0.0001, at + seconds);
  return node;
}
