let audio: AudioContext | undefined

/** Two short tones, made here: no file is loaded. Silent until the person has used the page, as browsers want. */
export function beep(): void {
  try {
    audio ??= new AudioContext()
    if (audio.state === 'suspended') void audio.resume()
    const now = audio.currentTime
    tone(audio, 660, now)
    tone(audio, 880, now + 0.13)
  } catch {
    // No sound here: the page still shows what fired.
  }
}

function tone(context: AudioContext, hertz: number, at: number): void {
  const oscillator = context.createOscillator()
  const gain = context.createGain()
  oscillator.frequency.value = hertz
  gain.gain.setValueAtTime(0, at)
  gain.gain.linearRampToValueAtTime(0.12, at + 0.01)
  gain.gain.exponentialRampToValueAtTime(0.001, at + 0.12)
  oscillator.connect(gain).connect(context.destination)
  oscillator.start(at)
  oscillator.stop(at + 0.13)
}
