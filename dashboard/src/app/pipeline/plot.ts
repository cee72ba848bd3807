// uPlot, in a file of its own: only the pipeline's page loads it.
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

/** What a chart looks like. */
export interface Look {
  width: number
  height: number
  ink: string
  line: string
  series: { name: string; colour: string }[]
  /** The scale reaches at least this far: whole numbers need room for whole steps. */
  least: number
  write(value: number): string
}

/** Draws lines over time into an element. */
export function draw(target: HTMLElement, look: Look, data: uPlot.AlignedData): uPlot {
  const font = '11px system-ui, sans-serif'
  const axis = { stroke: look.ink, font, grid: { stroke: look.line, width: 1 }, ticks: { show: false } }
  return new uPlot(
    {
      width: look.width,
      height: look.height,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true }, y: { range: (_, _min, max) => [0, Math.max(max * 1.1, look.least) || 1] } },
      series: [{}, ...look.series.map(({ name, colour }) => ({ label: name, stroke: colour, width: 1.5, points: { show: false }, spanGaps: false }))],
      axes: [{ ...axis, values: '{HH}:{mm}:{ss}', space: 70, size: 28 }, { ...axis, size: 58, values: (_, values) => values.map(look.write) }],
    },
    data,
    target,
  )
}
