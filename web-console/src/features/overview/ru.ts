import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Обзор',
  window: 'За время',
  windows: { '1h': '1 час', '24h': '24 часа', '7d': '7 дней' },
  oldest: 'Старейшее готовое',
  ended: 'Окончено',
  failed: 'Неудачи',
  dead: '{shown} упало | {shown} упали | {shown} упало',
  start: 'Ожидание p50 / p99',
  run: 'Работа p50 / p99',
  throughput: 'Окончено в минуту',
  startTime: 'Ожидание до начала',
  runTime: 'Время работы',
  p50: 'половина (p50)',
  p99: '99 из 100 (p99)',
  only: 'Только {name}',
  empty: { title: 'Пока ничего не происходило', text: 'Как только придёт вебхук или сработает расписание, это будет видно здесь.' },
  health: {
    well: 'Всё в порядке',
    look: 'Требует внимания',
    none: 'Нет живых исполнителей: работа стоит',
    late: '{count} исполнитель опаздывает | {count} исполнителя опаздывают | {count} исполнителей опаздывают',
    schedulesLate: '{count} расписание просрочено | {count} расписания просрочены | {count} расписаний просрочено',
    schedulesFailing: '{count} расписание сбоит | {count} расписания сбоят | {count} расписаний сбоят',
    pauses: '{count} пауза | {count} паузы | {count} пауз',
    snapshot: 'Транзакция открыта уже {count} мин и мешает базе убирать за собой',
    counting: 'Оконченное подсчитано {count} мин назад',
    workers: '{count} исполнитель | {count} исполнителя | {count} исполнителей',
    draining: '{count} завершается | {count} завершаются | {count} завершаются',
    schedules: '{count} расписание | {count} расписания | {count} расписаний',
    runs: 'запусков идёт {running}, ждёт {waiting}',
    database: 'база {time}',
  },
}
export default ru
