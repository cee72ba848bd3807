import { mount } from 'svelte'

import App from './app/shell/App.svelte'
import './app.css'

const target = document.getElementById('app')
if (target) mount(App, { target })
